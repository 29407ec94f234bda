/**
 * Copies of parts of a graph. A fragment is itself a small workflow file, so what is copied here can be pasted as text
 * anywhere a workflow can, and a workflow found as text can be pasted here.
 */

import { addableSlots } from './ports.js';
import { addNode, connect, cutNode, removeItems, setValue } from './edit.js';
import { Graph, Workflow, rerouteChain, valueOf, widgetNamed } from './model.js';
import { graphToJson, nodeToJson, workflowFromJson, workflowToJson } from './json.js';
import { fits } from './types.js';

/** @typedef {import('./record.js').Edit} Edit */
/** @typedef {import('./model.js').NodeId} NodeId */
/** @typedef {import('./model.js').Node} Node */
/** @typedef {import('./edit.js').Items} Items */

/** The ids of the definitions some nodes need, at any depth. @param {Workflow} flow @param {Iterable<Node>} nodes @param {Set<string>} [found] */
export function neededSubs(flow, nodes, found = new Set()) {
  for (const node of nodes) {
    const sub = flow.subs.get(node.type);
    if (!sub || found.has(sub.id)) continue;
    found.add(sub.id);
    neededSubs(flow, sub.nodes.values(), found);
  }
  return found;
}

/** @param {Graph} graph @param {Items} items @returns {Record<string, any>} a workflow file of those items, `outside` beside it */
export function copyItems(graph, items) {
  const flow = new Workflow(graph.flow.defs);
  const root = flow.root;
  const ids = new Set([...(items.nodes ?? [])].map((id) => graph.node(id)?.id).filter((id) => id !== undefined));
  const nodes = [...ids].map((id) => /** @type {Node} */ (graph.node(/** @type {NodeId} */ (id))));
  const inside = [...graph.links.values()].filter((link) => ids.has(link.from) && ids.has(link.to));
  const outside = [...graph.links.values()].filter((link) => !ids.has(link.from) && ids.has(link.to) && link.from !== -10);
  for (const id of neededSubs(graph.flow, nodes)) flow.subs.set(id, /** @type {Graph} */ (graph.flow.subs.get(id)));
  const data = workflowToJson(flow);
  data.nodes = nodes.sort((a, b) => a.z - b.z).map(nodeToJson);
  data.links = inside.map((link) => [link.id, link.from, link.fromSlot, link.to, link.toSlot, link.type]);
  data.groups = [...(items.groups ?? [])].flatMap((id) => {
    const group = graph.groups.get(id);
    return group ? [{ id, title: group.title, bounding: [...group.box], color: group.color, font_size: group.fontSize, flags: { ...group.flags } }] : [];
  });
  const chains = inside.filter((link) => link.parent !== undefined);
  const reroutes = new Map(chains.flatMap((link) => rerouteChain(graph, link)).map((reroute) => [reroute.id, reroute]));
  data.extra = {
    reroutes: [...reroutes.values()].map(({ id, pos, parent }) => ({ id, pos: [...pos], ...(parent === undefined ? {} : { parentId: parent }), linkIds: [] })),
    linkExtensions: chains.map((link) => ({ id: link.id, parentId: link.parent })),
  };
  data.last_node_id = root.lastNode;
  data.outside = outside.map((link) => ({ from: link.from, fromSlot: link.fromSlot, to: link.to, toSlot: link.toSlot }));
  if (graph.flow.subs.size) data.definitions = { subgraphs: [...flow.subs.values()].map((sub) => flatDefinition(sub)) };
  return data;
}

/**
 * Adds a fragment. Without `at`, things keep their places, moved by `offset`; with it, their middle goes there.
 * @param {Edit} e @param {any} data a workflow file
 * @param {{at?: [number, number], offset?: [number, number], links?: boolean}} [options] links: also wire to the nodes the copies' originals were wired to
 * @returns {{nodes: NodeId[], groups: number[], reroutes: number[]}}
 */
export function pasteFragment(e, data, { at, offset = [0, 0], links = false } = {}) {
  const from = workflowFromJson(data, e.flow.defs, false);
  const [dx, dy] = at ? shiftTo(from.root, at) : offset;
  for (const sub of from.subs.values()) if (!e.flow.subs.has(sub.id)) e.change({ op: 'sub+', data: flatDefinition(sub) });
  const made = cloneInto(e, from.root, dx, dy);
  if (links) {
    for (const link of data.outside ?? []) {
      const to = made.ids.get(link.to);
      const source = e.graph.node(link.from);
      if (to !== undefined && source?.outputs[link.fromSlot]) connect(e, { node: source.id, slot: link.fromSlot }, { node: to, slot: link.toSlot });
    }
  }
  return { nodes: [...made.ids.values()], groups: made.groups, reroutes: made.reroutes };
}

/** @param {Graph} graph @param {[number, number]} at @returns {[number, number]} */
function shiftTo(graph, at) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  const points = [...[...graph.nodes.values()].flatMap(({ pos, size }) => [pos, [pos[0] + size[0], pos[1] + size[1]]]), ...[...graph.groups.values()].map(({ box }) => box)];
  for (const [x, y] of points) [x0, y0, x1, y1] = [Math.min(x0, x), Math.min(y0, y), Math.max(x1, x), Math.max(y1, y)];
  if (!points.length) return [0, 0];
  return [Math.round(at[0] - (x0 + x1) / 2), Math.round(at[1] - (y0 + y1) / 2)];
}

/**
 * Copies the whole of another graph into the one being edited, under new ids. Links to the other graph's own ports are left out.
 * @param {Edit} e @param {Graph} from @param {number} dx @param {number} dy
 */
export function cloneInto(e, from, dx, dy) {
  /** @type {Map<NodeId, NodeId>} */ const ids = new Map();
  /** @type {Map<number, number>} */ const reroutes = new Map();
  /** @type {number[]} */ const groups = [];
  for (const node of from.sorted()) {
    const id = e.graph.lastNode + 1;
    const copy = unlinked(nodeToJson(node));
    e.change({ op: 'node+', node: { ...copy, id, pos: [node.pos[0] + dx, node.pos[1] + dy] } });
    ids.set(node.id, id);
  }
  for (const reroute of from.reroutes.values()) {
    reroutes.set(reroute.id, e.graph.lastReroute + 1);
    e.change({ op: 'reroute+', item: { id: e.graph.lastReroute + 1, pos: [reroute.pos[0] + dx, reroute.pos[1] + dy] } });
  }
  for (const { id, parent } of from.reroutes.values()) if (parent !== undefined && reroutes.has(parent)) e.change({ op: 'reroute=', id: reroutes.get(id), set: { parent: reroutes.get(parent) } });
  for (const link of from.links.values()) {
    const [a, b] = [ids.get(link.from), ids.get(link.to)];
    if (a === undefined || b === undefined) continue;
    const parent = link.parent === undefined ? undefined : reroutes.get(link.parent);
    const copy = { id: e.graph.lastLink + 1, from: a, fromSlot: link.fromSlot, to: b, toSlot: link.toSlot, type: link.type, ...(parent === undefined ? {} : { parent }) };
    e.change({ op: 'link+', link: copy });
  }
  for (const group of from.groups.values()) {
    const id = e.graph.lastGroup + 1;
    e.change({ op: 'group+', item: { ...group, id, z: undefined, box: [group.box[0] + dx, group.box[1] + dy, group.box[2], group.box[3]] } });
    groups.push(id);
  }
  return { ids, groups, reroutes: [...reroutes.values()] };
}

/** A definition without those written inside it: they are carried beside it. @param {Graph} sub */
export function flatDefinition(sub) {
  const { definitions: _, ...data } = graphToJson(sub);
  return data;
}

/** A node's data with its sockets free. @param {Record<string, any>} node */
export function unlinked(node) {
  for (const slot of node.inputs ?? []) slot.link = null;
  for (const slot of node.outputs ?? []) slot.links = [];
  return node;
}

/** @param {Edit} e @param {Items} items @param {[number, number]} offset @param {{links?: boolean}} [options] */
export function duplicate(e, items, offset, { links = true } = {}) {
  return pasteFragment(e, copyItems(e.graph, items), { offset, links });
}

/**
 * Puts a node of another type in a node's place: same-named values, and links whose names or types fit, stay.
 * @param {Edit} e @param {NodeId} id @param {string} type @returns {NodeId|null}
 */
export function swapNode(e, id, type) {
  const old = e.graph.node(id);
  const def = e.flow.defs.get(type, e.flow);
  if (!old || !def) return null;
  const values = Object.fromEntries(old.widgets.filter((widget) => !widget.source).map((widget) => [widget.name, valueOf(old, widget)]));
  const known = new Map(addableSlots(def, e.flow).widgets.map((widget) => [widget.name, widget]));
  const kept = Object.fromEntries(Object.entries(values).filter(([name, value]) => accepts(known.get(name), value)));
  const into = old.inputs.flatMap((slot) => {
    const link = e.graph.link(slot.link);
    return link ? [{ name: slot.widget?.name ?? slot.name, from: link.from, slot: link.fromSlot, type: link.type }] : [];
  });
  const out = old.outputs.flatMap((slot, i) => (slot.links ?? []).map((linkId) => ({ name: slot.name, index: i, link: /** @type {any} */ (e.graph.links.get(linkId)) })));
  const ends = out.map(({ name, index, link }) => ({ name, index, to: link.to, slot: link.toSlot, type: link.type }));
  cutNode(e, old.id);
  const node = addNode(e, type, [...old.pos], { values: kept, ...(old.type === type ? { title: old.title, size: [...old.size] } : {}) });
  for (const end of into) connectTo(e, node, end);
  for (const end of ends) connectFrom(e, node, end);
  removeItems(e, { nodes: [old.id] });
  return node.id;
}

/** @param {import('./model.js').Widget|undefined} widget @param {any} value */
function accepts(widget, value) {
  if (!widget) return false;
  return widget.kind !== 'combo' || !widget.options.values?.length || widget.options.values.includes(value);
}

/** @param {Edit} e @param {Node} node @param {{name: string, from: NodeId, slot: number, type: string}} end */
function connectTo(e, node, end) {
  const free = node.inputs.map((slot, i) => ({ slot, i })).filter(({ slot }) => slot.link === null && !slot.widget && fits(end.type, slot.type));
  const hit = free.find(({ slot }) => slot.name === end.name) ?? free[0];
  const widget = widgetNamed(node, end.name);
  if (widget && fits(end.type, widget.type)) connect(e, { node: end.from, slot: end.slot }, { node: node.id, widget: end.name });
  else if (hit) connect(e, { node: end.from, slot: end.slot }, { node: node.id, slot: hit.i });
}

/** @param {Edit} e @param {Node} node @param {{name: string, index: number, to: NodeId, slot: number, type: string}} end */
function connectFrom(e, node, end) {
  const able = node.outputs.map((slot, i) => ({ slot, i })).filter(({ slot }) => fits(slot.type, end.type));
  const hit = able.find(({ slot }) => slot.name === end.name) ?? able.find(({ i }) => i === end.index) ?? able[0];
  if (hit) connect(e, { node: node.id, slot: hit.i }, { node: end.to, slot: end.slot });
}
