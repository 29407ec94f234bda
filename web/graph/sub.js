/** Subgraphs: making one of a selection, taking it apart again, and its ports. */

import { INPUTS, OUTPUTS, ownValue, widgetNamed } from './model.js';
import { boxAround, cutNode, connect, disconnect, disconnectSlot, removeItems, setValue } from './edit.js';
import { cloneInto, copyItems, unlinked } from './copy.js';
import { innerWidget } from './host.js';

/** @typedef {import('./record.js').Edit} Edit */
/** @typedef {import('./model.js').NodeId} NodeId */
/** @typedef {import('./model.js').Node} Node */
/** @typedef {import('./model.js').Graph} Graph */
/** @typedef {import('./model.js').Link} Link */

/** @param {string} name @param {{name: string}[]} taken */
function freeName(name, taken) {
  let free = name || 'port';
  for (let n = 2; taken.some((slot) => slot.name === free); n++) free = `${name}_${n}`;
  return free;
}

/**
 * Adds a port to the subgraph being edited, named after what it is for, and to every instance of it.
 * @param {Edit} e @param {'in'|'out'} side @param {{node: NodeId, slot?: number, widget?: string}} other the inside end
 */
export function addPort(e, side, other) {
  const graph = e.graph;
  const node = /** @type {Node} */ (graph.node(other.node));
  const slot = side === 'in' ? node.inputs[other.slot ?? -1] : node.outputs[other.slot ?? -1];
  const widget = other.widget ?? slot?.widget?.name;
  const list = side === 'in' ? graph.inputs : graph.outputs;
  const name = freeName(widget ?? slot.name, list);
  const type = widget !== undefined ? (widgetNamed(node, widget)?.type ?? '*') : slot.type;
  const index = list.length;
  e.change({ op: 'io+', side, index, slot: { id: crypto.randomUUID(), name, type } });
  for (const host of e.flow.instances(graph.id)) {
    const at = side === 'in' ? host.node.inputs.length : index;
    const port = { name, type, ...(widget !== undefined ? { widget: { name } } : {}) };
    e.within(host.graph, () => e.change({ op: 'slot+', id: host.node.id, side, index: at, slot: port }));
  }
  return { node: side === 'in' ? INPUTS : OUTPUTS, slot: index };
}

/** Removes a port with its links, inside and out. @param {Edit} e @param {'in'|'out'} side @param {number} index */
export function removePort(e, side, index) {
  const graph = e.graph;
  const port = (side === 'in' ? graph.inputs : graph.outputs)[index];
  if (!port) return;
  for (const host of e.flow.instances(graph.id)) {
    const slots = side === 'in' ? host.node.inputs : host.node.outputs;
    const at = side === 'in' ? slots.findIndex((slot) => slot.name === port.name) : index;
    const widget = side === 'in' ? widgetNamed(host.node, port.name) : undefined;
    const values = host.node.values;
    e.within(host.graph, () => {
      if (at >= 0) disconnectSlot(e, { node: host.node.id, side, slot: at });
      if (at >= 0) e.change({ op: 'slot-', id: host.node.id, side, index: at });
      if (widget && Array.isArray(values)) e.change({ op: 'node=', id: host.node.id, set: { values: values.filter((_, i) => i !== widget.key) } });
    });
  }
  for (const id of [...port.linkIds]) disconnect(e, id);
  e.change({ op: 'io-', side, index });
}

/** @param {Edit} e @param {'in'|'out'} side @param {number} index @param {string} label */
export function renamePort(e, side, index, label) {
  const port = (side === 'in' ? e.graph.inputs : e.graph.outputs)[index];
  e.change({ op: 'io=', side, index, set: { label } });
  for (const host of e.flow.instances(e.graph.id)) {
    const slots = side === 'in' ? host.node.inputs : host.node.outputs;
    const at = side === 'in' ? slots.findIndex((slot) => slot.name === port.name) : index;
    if (at >= 0) e.within(host.graph, () => e.change({ op: 'slot=', id: host.node.id, side, index: at, set: { label } }));
  }
}

/** Shows a widget of a node inside on every instance of its subgraph. @param {Edit} e in the subgraph @param {NodeId} id @param {string} name */
export function promote(e, id, name) {
  return connect(e, { node: INPUTS, slot: e.graph.inputs.length }, { node: id, widget: name });
}

/** @typedef {{name: string, type: string, widget?: boolean, ends: Link[], outer?: Link}} Port one port to be, with the links that cross */

/** Ports a selection needs: one for each source outside, one for each output used outside. @param {Graph} graph @param {Set<NodeId>} ids */
function portsOf(graph, ids) {
  /** @type {Map<string, Port>} */ const into = new Map();
  /** @type {Map<string, Port>} */ const out = new Map();
  for (const link of [...graph.links.values()].sort((a, b) => a.toSlot - b.toSlot)) {
    const [a, b] = [ids.has(link.from), ids.has(link.to)];
    if (a === b) continue;
    const map = b ? into : out;
    const key = `${link.from}/${link.fromSlot}`;
    const slot = b ? /** @type {Node} */ (graph.node(link.to)).inputs[link.toSlot] : /** @type {Node} */ (graph.node(link.from)).outputs[link.fromSlot];
    const port = map.get(key) ?? { name: freeName(slot.label ?? slot.widget?.name ?? slot.name, [...map.values()]), type: b ? link.type : slot.type, widget: b && Boolean(slot.widget), ends: [] };
    port.ends.push(link);
    map.set(key, port);
  }
  return { into: [...into.values()], out: [...out.values()] };
}

/**
 * Turns nodes into one instance of a new subgraph.
 * @param {Edit} e @param {Iterable<NodeId>} selection @param {string} [name] @returns {Node|null} the instance
 */
export function makeSubgraph(e, selection, name = 'Subgraph') {
  const ids = new Set([...selection].map((id) => e.graph.node(id)?.id).filter((id) => id !== undefined));
  const box = boxAround(e.graph, /** @type {Set<NodeId>} */ (ids));
  if (!box) return null;
  const { into, out } = portsOf(e.graph, /** @type {Set<NodeId>} */ (ids));
  const data = definition(e, /** @type {Set<NodeId>} */ (ids), { into, out }, name, box);
  const outer = { into: into.map((port) => ({ node: port.ends[0].from, slot: port.ends[0].fromSlot })), out: out.map((port) => port.ends.map((link) => ({ node: link.to, slot: link.toSlot }))) };
  removeItems(e, { nodes: /** @type {Set<NodeId>} */ (ids) });
  e.change({ op: 'sub+', data });
  const id = e.graph.lastNode + 1;
  const node = {
    id, type: data.id, pos: [Math.round((box[0] + box[2]) / 2 - 115), Math.round((box[1] + box[3]) / 2)], size: [230, 60], flags: {}, order: e.graph.nodes.size, mode: 0, properties: {}, widgets_values: [],
    inputs: into.map((port) => ({ name: port.name, type: port.type, link: null, ...(port.widget ? { widget: { name: port.name } } : {}) })),
    outputs: out.map((port) => ({ name: port.name, type: port.type, links: [] })),
  };
  e.change({ op: 'node+', node });
  outer.into.forEach((from, slot) => connect(e, from, { node: id, slot }, { sure: true }));
  outer.out.forEach((ends, slot) => ends.forEach((to) => connect(e, { node: id, slot }, to, { sure: true })));
  return /** @type {Node} */ (e.graph.node(id));
}

/** The data of a definition made of nodes of the graph being edited. @param {Edit} e @param {Set<NodeId>} ids @param {{into: Port[], out: Port[]}} ports @param {string} name @param {number[]} box */
function definition(e, ids, ports, name, box) {
  const { definitions: _, outside: __, ...fragment } = copyItems(e.graph, { nodes: ids });
  let link = e.graph.lastLink;
  /** @type {any[]} */ const links = fragment.links.map((/** @type {any[]} */ [id, from, fromSlot, to, toSlot, type]) => {
    const parentId = e.graph.links.get(id)?.parent;
    return { id, origin_id: from, origin_slot: fromSlot, target_id: to, target_slot: toSlot, type, ...(parentId === undefined ? {} : { parentId }) };
  });
  const inputs = ports.into.map((port, k) => {
    const own = port.ends.map((end) => ({ id: ++link, origin_id: INPUTS, origin_slot: k, target_id: end.to, target_slot: end.toSlot, type: end.type }));
    links.push(...own);
    return { id: crypto.randomUUID(), name: port.name, type: port.type, linkIds: own.map(({ id }) => id) };
  });
  const outputs = ports.out.map((port, k) => {
    const own = { id: ++link, origin_id: port.ends[0].from, origin_slot: port.ends[0].fromSlot, target_id: OUTPUTS, target_slot: k, type: port.type };
    links.push(own);
    return { id: crypto.randomUUID(), name: port.name, type: port.type, linkIds: [own.id] };
  });
  const nodes = fragment.nodes.map(unlinked);
  for (const { id, target_id, target_slot } of links) {
    const node = nodes.find((/** @type {any} */ one) => one.id === target_id);
    if (node) node.inputs[target_slot].link = id;
  }
  const state = { lastGroupId: 0, lastNodeId: e.graph.lastNode, lastLinkId: link, lastRerouteId: e.graph.lastReroute };
  return {
    id: crypto.randomUUID(), version: 1, revision: 0, config: {}, name, state, inputs, outputs, nodes, links, groups: [], reroutes: fragment.extra.reroutes, extra: {}, widgets: [],
    inputNode: { id: INPUTS, bounding: [box[0] - 220, (box[1] + box[3]) / 2 - 60, 120, 60] }, outputNode: { id: OUTPUTS, bounding: [box[2] + 100, (box[1] + box[3]) / 2 - 60, 120, 60] },
  };
}

/** Puts the inside of an instance in its place. @param {Edit} e @param {NodeId} id @returns {NodeId[]} */
export function unpack(e, id) {
  const host = e.graph.node(id);
  const sub = host && e.flow.subs.get(host.type);
  if (!host || !sub) return [];
  const box = boxAround(sub, sub.nodes.keys()) ?? [0, 0, 0, 0];
  const dx = Math.round(host.pos[0] + host.size[0] / 2 - (box[0] + box[2]) / 2);
  const dy = Math.round(host.pos[1] + host.size[1] / 2 - (box[1] + box[3]) / 2);
  /** @param {number} port */
  const feeding = (port) => {
    const slot = host.inputs.find((one) => one.name === sub.inputs[port].name) ?? host.inputs[port];
    const link = e.graph.link(slot?.link);
    return link && { node: link.from, slot: link.fromSlot };
  };
  const sources = sub.inputs.map((_, port) => feeding(port));
  const ends = sub.outputs.map((_, port) => (host.outputs[port]?.links ?? []).flatMap((link) => {
    const outer = e.graph.links.get(link);
    return outer ? [{ node: outer.to, slot: outer.toSlot }] : [];
  }));
  const values = host.widgets.filter((widget) => widget.source && ownValue(host, widget) !== undefined).map((widget) => ({ ...widget.source, value: ownValue(host, widget) }));
  const promoted = sub.inputs.map((_, port) => innerWidget(sub, port));
  cutNode(e, host.id);
  const { ids } = cloneInto(e, sub, dx, dy);
  for (const { node, widget, value } of values) if (node && widget) setValue(e, /** @type {NodeId} */ (ids.get(node.id)), widget.name, value);
  for (const link of [...sub.links.values()]) {
    const from = link.from === INPUTS ? sources[link.fromSlot] : { node: ids.get(link.from), slot: link.fromSlot };
    const crosses = link.from === INPUTS || link.to === OUTPUTS;
    if (!crosses || !from || from.node === undefined) continue;
    const targets = link.to === OUTPUTS ? (ends[link.toSlot] ?? []) : [{ node: ids.get(link.to), slot: link.toSlot }];
    for (const to of targets) if (to.node !== undefined) connect(e, /** @type {any} */ (from), /** @type {any} */ (to), { sure: true });
  }
  void promoted;
  e.change({ op: 'node-', id: host.id });
  return [...ids.values()];
}
