/** What of the scene some nodes spoil when they change: where they and their wires are, and where they were when it was drawn. */

import { bend } from './detail.js';

/** @typedef {import('../graph/model.js').Node} Node */
/** @typedef {import('./camera.js').Rect} Rect */

const EDGE = 18; // graph units around a node: sockets, the glow of a selection

export class Spoil {
  constructor() {
    /** @type {import('../graph/model.js').Graph | null} */ this.graph = null;
    this.boxes = new Float32Array(0);
    this.ends = new Float32Array(0);
    this.count = 0;
    this.wires = 0;
    this.version = -1;
  }

  /** Remembers where everything is now; called after each drawing. @param {import('../graph/model.js').Graph} graph @param {import('./routes.js').Routes} routes */
  keep(graph, routes) {
    if (this.boxes.length < graph.count * 4) this.boxes = new Float32Array(graph.boxes.length);
    if (this.ends.length < routes.count * 4) this.ends = new Float32Array(routes.ends.length);
    this.boxes.set(graph.boxes.subarray(0, graph.count * 4));
    this.ends.set(routes.ends.subarray(0, routes.count * 4));
    Object.assign(this, { graph, count: graph.count, wires: routes.count, version: routes.version });
  }

  /** The rectangle, in graph units, that nodes spoil; null when what was drawn is of another graph. @param {Set<Node>} nodes @param {import('../graph/model.js').Graph} graph @param {import('./routes.js').Routes} routes @returns {Rect | null} */
  area(nodes, graph, routes) {
    if (this.graph !== graph || this.count !== graph.count || this.version !== routes.version || this.wires !== routes.count) return null;
    let x0 = Infinity, y0 = Infinity, x1 = -Infinity, y1 = -Infinity;
    const grow = (/** @type {number} */ ax, /** @type {number} */ ay, /** @type {number} */ bx, /** @type {number} */ by) => {
      x0 = Math.min(x0, ax);
      y0 = Math.min(y0, ay);
      x1 = Math.max(x1, bx);
      y1 = Math.max(y1, by);
    };
    for (const { at } of nodes) {
      for (const boxes of [this.boxes, graph.boxes]) grow(boxes[at * 4] - EDGE, boxes[at * 4 + 1] - EDGE, boxes[at * 4 + 2] + EDGE, boxes[at * 4 + 3] + EDGE);
    }
    for (let i = 0; i < routes.count; i++) {
      if (!nodes.has(/** @type {Node} */ (routes.starts[i])) && !nodes.has(/** @type {Node} */ (routes.stops[i]))) continue;
      for (const ends of [this.ends, routes.ends]) {
        const [ax, ay, bx, by] = ends.subarray(i * 4, i * 4 + 4);
        const slack = EDGE + bend(ax, ay, bx, by);
        grow(Math.min(ax, bx) - slack, Math.min(ay, by) - EDGE, Math.max(ax, bx) + slack, Math.max(ay, by) + EDGE);
      }
    }
    return x0 < x1 ? { x: x0, y: y0, w: x1 - x0, h: y1 - y0 } : null;
  }
}
