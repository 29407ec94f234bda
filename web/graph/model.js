/**
 * The document as plain data: a workflow holds a root graph and its subgraph definitions, a graph holds nodes, links,
 * reroutes and groups in Maps, and the nodes' boxes in one flat array for culling. No DOM, no signals; the only writer
 * is the reducer in change.js.
 */

import { boxOf } from './shape.js';

/** @typedef {number|string} NodeId as in the file */
/** @typedef {{in: 'inputs', out: 'outputs'}} Sides */
/** @typedef {'in'|'out'} Side */

/**
 * @typedef {object} Slot an input or output of a node; every unknown key of the file stays on it
 * @property {string} name
 * @property {string} type may be a union "INT,FLOAT" or "*"
 * @property {string} [label]
 * @property {number} [shape]
 * @property {{name: string}} [widget] set on the socket of a widget
 * @property {number|null} [link] inputs only
 * @property {number[]} [links] outputs only, always an array here
 * @property {*} [EMPTY]
 */

/**
 * @typedef {object} IoSlot an input or output of a subgraph definition
 * @property {string} id uuid
 * @property {string} name
 * @property {string} type
 * @property {number[]} linkIds
 * @property {string} [label]
 */

/**
 * @typedef {object} Link
 * @property {number} id
 * @property {NodeId} from -10 in a subgraph: the column of its inputs
 * @property {number} fromSlot
 * @property {NodeId} to -20 in a subgraph: the column of its outputs
 * @property {number} toSlot
 * @property {string} type
 * @property {number} [parent] the last reroute on its way
 * @property {number} z place in the file
 * @property {object} [rest]
 */

/**
 * @typedef {object} Reroute
 * @property {number} id
 * @property {[number, number]} pos
 * @property {number} [parent]
 * @property {number} z
 * @property {number[]} [linkIds] as in the file; written back in this order
 * @property {object} [rest]
 */

/**
 * @typedef {object} Group
 * @property {number} id
 * @property {string} title
 * @property {[number, number, number, number]} box
 * @property {string} [color]
 * @property {number} [fontSize]
 * @property {{pinned?: boolean}} [flags]
 * @property {number} z
 * @property {object} [rest]
 */

/**
 * @typedef {object} Widget a value of a node that is not (only) a socket
 * @property {string} name
 * @property {string} label
 * @property {'number'|'text'|'toggle'|'combo'|'control'|'upload'|'color'|'markdown'|'button'|'custom'} kind
 * @property {string} type socket type of the value
 * @property {number|string} key its place in the node's values
 * @property {Record<string, any>} options
 * @property {string} [tooltip]
 * @property {boolean} [hidden]
 * @property {boolean} [silent] never sent with a prompt (a control, an upload button)
 * @property {{node: Node, widget: Widget}} [source] on an instance of a subgraph: the widget inside
 */

/** The ids of a subgraph's two columns of ports. */
export const INPUTS = -10;
export const OUTPUTS = -20;

export const ALWAYS = 0;
export const MUTED = 2;
export const BYPASSED = 4;

/** How a slot without links was written in its file: null, [], or not at all. */
export const EMPTY = Symbol('empty');

export class Node {
  /** @param {NodeId} id @param {string} type */
  constructor(id, type) {
    /** @type {NodeId} */ this.id = id;
    /** @type {string} */ this.type = type;
    /** @type {[number, number]} */ this.pos = [0, 0];
    /** @type {[number, number]} */ this.size = [210, 60];
    /** @type {{collapsed?: boolean, pinned?: boolean, [key: string]: any}} */ this.flags = {};
    /** @type {number} */ this.mode = ALWAYS;
    /** @type {number} */ this.order = 0;
    /** @type {number} */ this.z = 0;
    /** @type {string|undefined} */ this.title = undefined;
    /** @type {string|undefined} */ this.color = undefined;
    /** @type {string|undefined} */ this.bgcolor = undefined;
    /** @type {Record<string, any>} */ this.properties = {};
    /** @type {Slot[]} */ this.inputs = [];
    /** @type {Slot[]} */ this.outputs = [];
    /** @type {any[]|Record<string, any>|undefined} */ this.values = undefined;
    /** @type {Record<string, any>|undefined} */ this.named = undefined;
    /** @type {Record<string, any>} */ this.rest = {};
    /** @type {Set<string>} keys its file had; they are written even when empty */ this.had = new Set();
    /** @type {import('./defs.js').NodeDef|null} */ this.def = null;
    /** @type {Widget[]} */ this.widgets = [];
    /** @type {number} */ this.at = -1;
  }

  get label() {
    return this.title || this.def?.title || String(this.type);
  }
}

export class Graph {
  /** @param {Workflow} flow @param {string} id '' for the root */
  constructor(flow, id) {
    this.flow = flow;
    this.id = id;
    /** @type {Map<NodeId, Node>} */ this.nodes = new Map();
    /** @type {Map<number, Link>} */ this.links = new Map();
    /** @type {Map<number, Reroute>} */ this.reroutes = new Map();
    /** @type {Map<number, Group>} */ this.groups = new Map();
    /** @type {Node[]} */ this.list = [];
    this.boxes = new Float32Array(4 * 64);
    this.count = 0;
    this.lastNode = 0;
    this.lastLink = 0;
    this.lastGroup = 0;
    this.lastReroute = 0;
    this.nextZ = 0;
    this.name = '';
    /** @type {IoSlot[]} */ this.inputs = [];
    /** @type {IoSlot[]} */ this.outputs = [];
    /** @type {[number, number, number, number]} */ this.inputBox = [0, 0, 120, 60];
    /** @type {[number, number, number, number]} */ this.outputBox = [600, 0, 120, 60];
    /** @type {Record<string, any>} */ this.extra = {};
    /** @type {Record<string, any>} */ this.rest = {};
    /** @type {Set<string>} */ this.had = new Set();
    /** @type {string} id of the definition this one was written inside of ('' = the file itself) */ this.home = '';
  }

  /** @param {NodeId} id @returns {Node|undefined} */
  node(id) {
    const hit = this.nodes.get(id);
    if (hit) return hit;
    if (typeof id === 'number') return this.nodes.get(String(id));
    return this.nodes.get(Number(id));
  }

  /** @param {number|null|undefined} id */
  link(id) {
    return id === null || id === undefined ? undefined : this.links.get(id);
  }

  /** Puts a node in the flat arrays. @param {Node} node */
  place(node) {
    if (4 * (this.count + 1) > this.boxes.length) {
      const wider = new Float32Array(this.boxes.length * 2);
      wider.set(this.boxes);
      this.boxes = wider;
    }
    node.at = this.count++;
    this.list[node.at] = node;
    this.nodes.set(node.id, node);
    this.touch(node);
  }

  /** Takes a node out; the last one moves into its place. @param {Node} node */
  displace(node) {
    const last = this.list[--this.count];
    this.list[node.at] = last;
    last.at = node.at;
    this.boxes.copyWithin(node.at * 4, this.count * 4, this.count * 4 + 4);
    this.list.length = this.count;
    node.at = -1;
    this.nodes.delete(node.id);
  }

  /** Recomputes a node's box. @param {Node} node */
  touch(node) {
    if (node.at >= 0) this.boxes.set(boxOf(node), node.at * 4);
  }

  /** Nodes in drawing order. @returns {Node[]} */
  sorted() {
    return [...this.nodes.values()].sort((a, b) => a.z - b.z);
  }
}

export class Workflow {
  /** @param {import('./defs.js').Defs} defs */
  constructor(defs) {
    this.defs = defs;
    this.root = new Graph(this, '');
    /** @type {Map<string, Graph>} */ this.subs = new Map();
    /** @type {Record<string, any>} */ this.rest = {};
    /** @type {Set<string>} */ this.had = new Set();
  }

  /** @param {string} id @returns {Graph} */
  graph(id) {
    const graph = id === '' ? this.root : this.subs.get(id);
    if (!graph) throw new Error(`There is no subgraph ${id} in this workflow.`);
    return graph;
  }

  /** Every graph, the root first. @returns {Graph[]} */
  graphs() {
    return [this.root, ...this.subs.values()];
  }

  /** The instances of a subgraph definition. @param {string} id @returns {{graph: Graph, node: Node}[]} */
  instances(id) {
    const found = [];
    for (const graph of this.graphs()) for (const node of graph.nodes.values()) if (node.type === id) found.push({ graph, node });
    return found;
  }

  /** Looks every node's definition up again. */
  rebind() {
    for (const graph of [...this.subs.values()].reverse()) for (const node of graph.nodes.values()) this.bind(node, graph);
    for (const node of this.root.nodes.values()) this.bind(node, this.root);
    // Instances see the widgets of what is inside them, at any depth: settle from the inside out.
    for (const id of this.innerFirst()) this.rebindInstances(id);
  }

  /** @param {Node} node @param {Graph} graph */
  bind(node, graph) {
    this.defs.bind(node, this);
    graph.touch(node);
  }

  /** @param {string} id */
  rebindInstances(id) {
    for (const { graph, node } of this.instances(id)) this.bind(node, graph);
  }

  /** Definition ids, each after those it contains. @returns {string[]} */
  innerFirst() {
    /** @type {string[]} */ const order = [];
    const seen = new Set();
    /** @param {string} id */
    const visit = (id) => {
      if (seen.has(id)) return;
      seen.add(id);
      const graph = this.subs.get(id);
      if (!graph) return;
      for (const node of graph.nodes.values()) if (this.subs.has(node.type)) visit(node.type);
      order.push(id);
    };
    for (const id of this.subs.keys()) visit(id);
    return order;
  }
}

/** The value of a widget. @param {Node} node @param {Widget} widget @returns {any} */
export function valueOf(node, widget) {
  const own = ownValue(node, widget);
  if (own !== undefined) return own;
  if (widget.source) return valueOf(widget.source.node, widget.source.widget);
  return widget.options.default;
}

/** The value stored on the node itself, or undefined. @param {Node} node @param {Widget} widget @returns {any} */
export function ownValue(node, widget) {
  if (node.named && widget.name in node.named) return node.named[widget.name];
  const values = /** @type {any} */ (node.values);
  if (values === undefined || values === null) return undefined;
  const key = Array.isArray(values) ? widget.key : widget.name;
  const value = values[key];
  return value === null && widget.source ? undefined : value;
}

/** @param {Node} node @param {string} name */
export function widgetNamed(node, name) {
  return node.widgets.find((widget) => widget.name === name);
}

/** The input slot that is the socket of a widget, or -1. @param {Node} node @param {string} name */
export function socketOf(node, name) {
  return node.inputs.findIndex((slot) => slot.widget?.name === name);
}

/** The reroutes of a link from its source to its target. @param {Graph} graph @param {Link} link @returns {Reroute[]} */
export function rerouteChain(graph, link) {
  /** @type {Reroute[]} */ const chain = [];
  let id = link.parent;
  while (id !== undefined && chain.length <= graph.reroutes.size) {
    const reroute = graph.reroutes.get(id);
    if (!reroute) break;
    chain.push(reroute);
    id = reroute.parent;
  }
  return chain.reverse();
}
