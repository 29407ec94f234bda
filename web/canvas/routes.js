/** The wires of the graph in view as flat arrays: each stretch between a socket or reroute and the next one, once. */

import { INPUTS, OUTPUTS, rerouteChain } from '../graph/model.js';
import { ioPos, slotAt } from '../graph/shape.js';
import { fits } from '../graph/types.js';

/** @typedef {import('../graph/model.js').Graph} Graph */
/** @typedef {import('../graph/model.js').Link} Link */
/** @typedef {import('../graph/model.js').Node} Node */
/** @typedef {import('../graph/model.js').Reroute} Reroute */
/** @typedef {Node | Reroute | null} Anchor null = a column of a subgraph */

export class Routes {
  constructor() {
    this.ends = new Float32Array(4 * 64);
    this.count = 0;
    /** @type {Link[]} */ this.links = [];
    /** @type {Anchor[]} */ this.starts = [];
    /** @type {Anchor[]} */ this.stops = [];
    /** @type {Reroute[]} */ this.dots = [];
    /** ids of links whose ends do not fit, as a file may have them @type {Set<number>} */ this.bad = new Set();
    /** @type {Map<string, boolean>} */ this.pairs = new Map();
    this.stale = true;
    this.version = 0; // counts the rebuildings
  }

  /** @param {Graph} graph */
  rebuild(graph) {
    this.stale = false;
    this.version++;
    this.count = 0;
    const shared = new Set();
    this.bad.clear();
    for (const link of graph.links.values()) this.add(graph, link, shared);
    this.links.length = this.starts.length = this.stops.length = this.count;
    this.dots = graph.reroutes.size ? [...graph.reroutes.values()] : [];
  }

  /** Nodes have moved or changed size: the ends of their wires go along. @param {Set<Node>} nodes */
  follow(nodes) {
    for (let i = 0; i < this.count; i++) {
      const start = this.starts[i], stop = this.stops[i];
      if (start && nodes.has(/** @type {Node} */ (start))) slotAt(/** @type {Node} */ (start), 'out', this.links[i].fromSlot, this.ends, i * 4);
      if (stop && nodes.has(/** @type {Node} */ (stop))) slotAt(/** @type {Node} */ (stop), 'in', this.links[i].toSlot, this.ends, i * 4 + 2);
    }
  }

  /** @param {Graph} graph @param {Link} link @param {Set<Reroute>} shared reroutes whose way in is already there */
  add(graph, link, shared) {
    const from = link.from === INPUTS ? null : graph.node(link.from);
    const to = link.to === OUTPUTS ? null : graph.node(link.to);
    if (from === undefined || to === undefined) return;
    if (from && to && !this.fit(from.outputs[link.fromSlot]?.type, to.inputs[link.toSlot]?.type)) this.bad.add(link.id);
    let k = this.room(0);
    /** @type {Anchor} */ let last = from;
    this.source(graph, link, from, k);
    if (link.parent !== undefined) {
      for (const reroute of rerouteChain(graph, link)) {
        k = this.room(0);
        this.ends[k + 2] = reroute.pos[0];
        this.ends[k + 3] = reroute.pos[1];
        if (!shared.has(reroute)) this.close(link, last, reroute);
        shared.add(reroute);
        k = this.room(0);
        this.ends[k] = reroute.pos[0];
        this.ends[k + 1] = reroute.pos[1];
        last = reroute;
      }
    }
    if (to) slotAt(to, 'in', link.toSlot, this.ends, k + 2);
    else this.ends.set(ioPos(graph, 'out', link.toSlot), k + 2);
    this.close(link, last, to);
  }

  /** Whether two types fit; each pair is asked for once. @param {unknown} out @param {unknown} into */
  fit(out, into) {
    if (out === into) return true;
    const key = `${out} > ${into}`;
    let known = this.pairs.get(key);
    if (known === undefined) this.pairs.set(key, (known = fits(out, into)));
    return known;
  }

  /** @param {Graph} graph @param {Link} link @param {Node | null} from @param {number} k */
  source(graph, link, from, k) {
    if (from) slotAt(from, 'out', link.fromSlot, this.ends, k);
    else this.ends.set(ioPos(graph, 'in', link.fromSlot), k);
  }

  /** Index of the stretch being written. @param {number} more */
  room(more) {
    const k = (this.count + more) * 4;
    if (k + 4 > this.ends.length) {
      const wider = new Float32Array(this.ends.length * 2);
      wider.set(this.ends);
      this.ends = wider;
    }
    return k;
  }

  /** @param {Link} link @param {Anchor} start @param {Anchor} stop */
  close(link, start, stop) {
    this.links[this.count] = link;
    this.starts[this.count] = start;
    this.stops[this.count] = stop;
    this.count++;
  }
}
