/**
 * Every edit of a document is a list of changes, and a change is plain data. `applyChange` is the only writer of the
 * model; it returns the change that takes itself back, so undo, gestures and tests need nothing else.
 */

import { nodeFromJson, nodeToJson, graphFromJson, graphToJson } from './json.js';
import { EMPTY } from './model.js';
import { plain } from './plain.js';

/** @typedef {import('./model.js').Workflow} Workflow */
/** @typedef {import('./model.js').Graph} Graph */
/** @typedef {import('./model.js').Node} Node */
/** @typedef {import('./model.js').NodeId} NodeId */
/** @typedef {import('./model.js').Side} Side */
/** @typedef {import('./model.js').Link} Link */
/** @typedef {{op: string, g?: string, id?: any, [key: string]: any}} Change */

/** @type {Record<string, (flow: Workflow, change: any) => Change>} */
const reducers = {
  'node+': addNode,
  'node-': removeNode,
  'node=': setNode,
  value: setValue,
  'slot+': addSlot,
  'slot-': removeSlot,
  'slot=': setSlot,
  'link+': addLink,
  'link-': removeLink,
  'link=': (flow, c) => setOn(graphOf(flow, c).links, c),
  'reroute+': (flow, c) => addItem(graphOf(flow, c), 'reroutes', 'lastReroute', c),
  'reroute-': (flow, c) => removeItem(graphOf(flow, c), 'reroutes', 'lastReroute', c),
  'reroute=': (flow, c) => setOn(graphOf(flow, c).reroutes, c),
  'group+': (flow, c) => addItem(graphOf(flow, c), 'groups', 'lastGroup', c),
  'group-': (flow, c) => removeItem(graphOf(flow, c), 'groups', 'lastGroup', c),
  'group=': (flow, c) => setOn(graphOf(flow, c).groups, c),
  'graph=': setGraph,
  'sub+': addSub,
  'sub-': removeSub,
  'io+': addIo,
  'io-': removeIo,
  'io=': setIo,
};

/** Applies one change and returns its inverse. @param {Workflow} flow @param {Change} change @returns {Change} */
export function applyChange(flow, change) {
  const reduce = reducers[change.op];
  if (!reduce) throw new Error(`There is no change ${JSON.stringify(change.op)}.`);
  return reduce(flow, change);
}

/** @param {Workflow} flow @param {Change} c */
function graphOf(flow, c) {
  return flow.graph(c.g ?? '');
}

/** @param {Graph} graph @param {NodeId} id @returns {Node} */
function nodeOf(graph, id) {
  const node = graph.node(id);
  if (!node) throw new Error(`There is no node ${id} in this graph.`);
  return node;
}

/** @param {Workflow} flow @param {Change} c @returns {Change} */
function addNode(flow, c) {
  const graph = graphOf(flow, c);
  const node = nodeFromJson(plain(c.node));
  node.z = c.z ??= graph.nextZ;
  if (c.had) node.had = new Set(c.had);
  graph.nextZ = Math.max(graph.nextZ, node.z + 1);
  const last = graph.lastNode;
  if (typeof node.id === 'number') graph.lastNode = Math.max(last, node.id);
  graph.place(node);
  flow.bind(node, graph);
  return { g: c.g, op: 'node-', id: node.id, last };
}

/** @param {Workflow} flow @param {Change} c @returns {Change} */
function removeNode(flow, c) {
  const graph = graphOf(flow, c);
  const node = nodeOf(graph, c.id);
  graph.displace(node);
  if (c.last !== undefined) graph.lastNode = c.last;
  return { g: c.g, op: 'node+', node: nodeToJson(node), z: node.z, had: [...node.had] };
}

/** Sets keys of an object and returns what they were; undefined deletes. @param {any} target @param {Record<string, any>} set */
function assign(target, set) {
  /** @type {Record<string, any>} */ const old = {};
  for (const [key, value] of Object.entries(set)) {
    old[key] = target[key];
    if (value === undefined) delete target[key];
    else target[key] = value;
  }
  return old;
}

/** @param {Workflow} flow @param {Change} c @returns {Change} */
function setNode(flow, c) {
  const graph = graphOf(flow, c);
  const node = nodeOf(graph, c.id);
  const old = assign(node, c.set);
  if ('type' in c.set || 'properties' in c.set) flow.bind(node, graph);
  graph.touch(node);
  return { g: c.g, op: 'node=', id: c.id, set: old };
}

/**
 * Stores one widget value. `key` is the widget's place; `name` keeps the named copy of newer files in step.
 * @param {Workflow} flow @param {Change} c @returns {Change}
 */
function setValue(flow, c) {
  const node = nodeOf(graphOf(flow, c), c.id);
  const undo = { g: c.g, op: 'value', id: c.id, key: c.key, name: c.name, value: undefined, length: /** @type {any} */ (undefined), named: /** @type {any} */ (undefined) };
  if (node.named && c.name !== undefined) undo.named = assign(node.named, { [c.name]: c.named !== undefined ? c.named : c.value })[c.name];
  const values = /** @type {any} */ (node.values);
  if (values && !Array.isArray(values)) {
    undo.value = assign(values, { [c.key]: c.value })[c.key];
    return undo;
  }
  const list = values ?? (node.values = []);
  undo.value = list[c.key];
  undo.length = values ? list.length : -1;
  while (list.length < c.key) list.push(null);
  list[c.key] = c.value;
  if (c.length === -1) node.values = undefined;
  else if (c.length !== undefined) list.length = c.length;
  return undo;
}

/** @param {Graph} graph @param {NodeId} id @param {Side} side @param {number} from @param {number} by */
function shiftSlots(graph, id, side, from, by) {
  for (const link of graph.links.values()) {
    if (side === 'in' && link.to === id && link.toSlot >= from) link.toSlot += by;
    if (side === 'out' && link.from === id && link.fromSlot >= from) link.fromSlot += by;
  }
}

/** @param {Workflow} flow @param {Change} c @returns {Change} */
function addSlot(flow, c) {
  const graph = graphOf(flow, c);
  const node = nodeOf(graph, c.id);
  const slot = { ...c.slot, ...(c.side === 'in' ? { link: null } : { links: [] }) };
  if (!(EMPTY in slot)) slot[EMPTY] = c.side === 'in' ? null : [];
  const list = c.side === 'in' ? node.inputs : node.outputs;
  if (c.index < list.length) shiftSlots(graph, node.id, c.side, c.index, 1);
  list.splice(c.index, 0, slot);
  graph.touch(node);
  return { g: c.g, op: 'slot-', id: c.id, side: c.side, index: c.index };
}

/** @param {Workflow} flow @param {Change} c @returns {Change} */
function removeSlot(flow, c) {
  const graph = graphOf(flow, c);
  const node = nodeOf(graph, c.id);
  const list = c.side === 'in' ? node.inputs : node.outputs;
  const [slot] = list.splice(c.index, 1);
  shiftSlots(graph, node.id, c.side, c.index, -1);
  graph.touch(node);
  return { g: c.g, op: 'slot+', id: c.id, side: c.side, index: c.index, slot };
}

/** @param {Workflow} flow @param {Change} c @returns {Change} */
function setSlot(flow, c) {
  const node = nodeOf(graphOf(flow, c), c.id);
  const slot = (c.side === 'in' ? node.inputs : node.outputs)[c.index];
  return { g: c.g, op: 'slot=', id: c.id, side: c.side, index: c.index, set: assign(slot, c.set) };
}

/** The list of link ids at the origin of a link. @param {Graph} graph @param {Link} link @returns {number[]} */
function originLinks(graph, link) {
  if (link.from === -10) return graph.inputs[link.fromSlot].linkIds;
  const slot = nodeOf(graph, link.from).outputs[link.fromSlot];
  if (!slot) throw new Error(`Node ${link.from} has no output ${link.fromSlot}.`);
  return /** @type {number[]} */ (slot.links);
}

/** @param {Workflow} flow @param {Change} c @returns {Change} */
function addLink(flow, c) {
  const graph = graphOf(flow, c);
  c.link.z ??= graph.nextZ++;
  /** @type {Link} */ const link = { ...c.link };
  const origin = originLinks(graph, link);
  origin.splice(c.at ?? origin.length, 0, link.id);
  if (link.to === -20) graph.outputs[link.toSlot].linkIds.splice(c.to ?? Infinity, 0, link.id);
  else nodeOf(graph, link.to).inputs[link.toSlot].link = link.id;
  graph.links.set(link.id, link);
  const last = graph.lastLink;
  graph.lastLink = Math.max(last, link.id);
  return { g: c.g, op: 'link-', id: link.id, last };
}

/** @param {Workflow} flow @param {Change} c @returns {Change} */
function removeLink(flow, c) {
  const graph = graphOf(flow, c);
  const link = graph.links.get(c.id);
  if (!link) throw new Error(`There is no link ${c.id} in this graph.`);
  const origin = originLinks(graph, link);
  const at = origin.indexOf(link.id);
  origin.splice(at, 1);
  let to;
  if (link.to === -20) {
    const ids = graph.outputs[link.toSlot].linkIds;
    to = ids.indexOf(link.id);
    ids.splice(to, 1);
  } else nodeOf(graph, link.to).inputs[link.toSlot].link = null;
  graph.links.delete(link.id);
  if (c.last !== undefined) graph.lastLink = c.last;
  return { g: c.g, op: 'link+', link, at, to };
}

/** @param {Map<any, any>} map @param {Change} c @returns {Change} */
function setOn(map, c) {
  const item = map.get(c.id);
  if (!item) throw new Error(`There is nothing with id ${c.id} to change (${c.op}).`);
  return { g: c.g, op: c.op, id: c.id, set: assign(item, c.set) };
}

/** @param {any} graph @param {'reroutes'|'groups'} kind @param {string} counter @param {Change} c @returns {Change} */
function addItem(graph, kind, counter, c) {
  c.item.z ??= graph.nextZ++;
  const item = { ...c.item };
  graph[kind].set(item.id, item);
  const last = graph[counter];
  graph[counter] = Math.max(last, item.id);
  return { g: c.g, op: c.op.replace('+', '-'), id: item.id, last };
}

/** @param {any} graph @param {'reroutes'|'groups'} kind @param {string} counter @param {Change} c @returns {Change} */
function removeItem(graph, kind, counter, c) {
  const item = graph[kind].get(c.id);
  graph[kind].delete(c.id);
  if (c.last !== undefined) graph[counter] = c.last;
  return { g: c.g, op: c.op.replace('-', '+'), item };
}

/** @param {Workflow} flow @param {Change} c @returns {Change} */
function setGraph(flow, c) {
  return { g: c.g, op: 'graph=', set: assign(graphOf(flow, c), c.set) };
}

/** @param {Workflow} flow @param {Change} c @returns {Change} */
function addSub(flow, c) {
  const graph = graphFromJson(plain(c.data), flow, c.home ?? '');
  for (const node of graph.nodes.values()) flow.bind(node, graph);
  return { op: 'sub-', id: c.data.id };
}

/** @param {Workflow} flow @param {Change} c @returns {Change} */
function removeSub(flow, c) {
  const graph = flow.graph(c.id);
  flow.subs.delete(c.id);
  return { op: 'sub+', data: graphToJson(graph), home: graph.home };
}

/** @param {Workflow} flow @param {Change} c @returns {{graph: Graph, list: import('./model.js').IoSlot[]}} */
function ioList(flow, c) {
  const graph = graphOf(flow, c);
  return { graph, list: c.side === 'in' ? graph.inputs : graph.outputs };
}

/** @param {Workflow} flow @param {Change} c @returns {Change} */
function addIo(flow, c) {
  const { graph, list } = ioList(flow, c);
  if (c.index < list.length) shiftSlots(graph, c.side === 'in' ? -10 : -20, c.side === 'in' ? 'out' : 'in', c.index, 1);
  list.splice(c.index, 0, { ...c.slot, linkIds: [] });
  return { g: c.g, op: 'io-', side: c.side, index: c.index };
}

/** @param {Workflow} flow @param {Change} c @returns {Change} */
function removeIo(flow, c) {
  const { graph, list } = ioList(flow, c);
  const [slot] = list.splice(c.index, 1);
  shiftSlots(graph, c.side === 'in' ? -10 : -20, c.side === 'in' ? 'out' : 'in', c.index, -1);
  return { g: c.g, op: 'io+', side: c.side, index: c.index, slot };
}

/** @param {Workflow} flow @param {Change} c @returns {Change} */
function setIo(flow, c) {
  const { list } = ioList(flow, c);
  return { g: c.g, op: 'io=', side: c.side, index: c.index, set: assign(list[c.index], c.set) };
}
