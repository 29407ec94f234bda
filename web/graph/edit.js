/**
 * The edits of a graph. Each takes the Edit that records it, applies as it goes, and composes with the others:
 * `doc.edit('Connect', (e) => connect(e, from, to))`.
 */

import { addableSlots, syncPorts } from './ports.js';
import { bypassSource, connect, disconnect } from './links.js';
import { boxOf, freshSize } from './shape.js';
import { ownValue, widgetNamed } from './model.js';
import { plain } from './plain.js';

export * from './links.js';
export * from './arrange.js';
export { syncPorts } from './ports.js';

/** @typedef {import('./record.js').Edit} Edit */
/** @typedef {import('./model.js').NodeId} NodeId */
/** @typedef {import('./model.js').Node} Node */
/** @typedef {{nodes?: Iterable<NodeId>, groups?: Iterable<number>, reroutes?: Iterable<number>}} Items */

/**
 * @param {Edit} e @param {string} type @param {[number, number]} pos top left of the body
 * @param {{values?: Record<string, any>, title?: string, size?: [number, number]}} [more]
 * @returns {Node}
 */
export function addNode(e, type, pos, more = {}) {
  const def = e.flow.defs.get(type, e.flow);
  if (!def) throw new Error(`There is no node type ${type} here. Install the pack it comes from.`);
  const id = e.graph.lastNode + 1;
  const { inputs, outputs, widgets } = addableSlots(def, e.flow);
  const values = widgets.map((widget) => (widget.source ? null : plain(widget.options.default)));
  const node = {
    id, type, pos: [...pos], size: [225, 60], flags: {}, order: e.graph.nodes.size, mode: 0, inputs, outputs,
    properties: def.virtual ? {} : { 'Node name for S&R': type }, ...(values.length ? { widgets_values: values } : {}), ...(more.title ? { title: more.title } : {}),
  };
  if (e.flow.subs.has(type)) node.properties = {};
  e.change({ op: 'node+', node });
  const made = /** @type {Node} */ (e.graph.node(id));
  for (const [name, value] of Object.entries(more.values ?? {})) if (widgetNamed(made, name)) setValue(e, id, name, value);
  e.change({ op: 'node=', id, set: { size: more.size ?? (type === 'Reroute' ? [75, 26] : freshSize(made)) } });
  return made;
}

/**
 * Removes nodes with their links, groups (not what is in them) and reroutes (their links stay).
 * @param {Edit} e @param {Items} items @param {{heal?: boolean}} [options] heal: wires pass through where the types allow
 */
export function removeItems(e, items, { heal = false } = {}) {
  for (const id of items.reroutes ?? []) removeReroute(e, id);
  for (const id of items.nodes ?? []) {
    if (heal) healNode(e, id);
    cutNode(e, id);
    e.change({ op: 'node-', id: e.graph.node(id)?.id });
  }
  for (const id of items.groups ?? []) e.change({ op: 'group-', id });
}

/** Every link of a node. @param {import('./model.js').Graph} graph @param {NodeId} id */
export function linksOf(graph, id) {
  const node = graph.node(id);
  if (!node) return [];
  const into = node.inputs.flatMap((slot) => graph.link(slot.link) ?? []);
  const out = node.outputs.flatMap((slot) => (slot.links ?? []).map((link) => graph.links.get(link)).filter((link) => link !== undefined));
  return [...into, ...out];
}

/** @param {Edit} e @param {NodeId} id */
export function cutNode(e, id) {
  for (const link of linksOf(e.graph, id)) if (e.graph.links.has(link.id)) disconnect(e, link.id);
}

/** Joins what feeds a node to what it feeds, as a bypass would, and cuts it out. @param {Edit} e @param {NodeId} id */
export function healNode(e, id) {
  const node = e.graph.node(id);
  if (!node) return;
  const joins = node.outputs.flatMap((slot, i) =>
    (slot.links ?? []).map((linkId) => {
      const link = e.graph.links.get(linkId);
      const source = link && bypassSource(e.graph, node, i, link.type);
      return source && link ? { from: { node: source.from, slot: source.fromSlot }, to: { node: link.to, slot: link.toSlot } } : null;
    }),
  );
  cutNode(e, id);
  for (const join of joins) if (join) connect(e, join.from, join.to);
}

/** @param {Edit} e @param {number} id */
export function removeReroute(e, id) {
  const reroute = e.graph.reroutes.get(id);
  if (!reroute) return;
  for (const link of e.graph.links.values()) if (link.parent === id) e.change({ op: 'link=', id: link.id, set: { parent: reroute.parent } });
  for (const other of e.graph.reroutes.values()) if (other.parent === id) e.change({ op: 'reroute=', id: other.id, set: { parent: reroute.parent } });
  e.change({ op: 'reroute-', id });
}

/** @param {Edit} e @param {Items} items @param {number} dx @param {number} dy */
export function moveItems(e, items, dx, dy) {
  for (const id of items.nodes ?? []) {
    const node = e.graph.node(id);
    if (node && !node.flags.pinned) e.change({ op: 'node=', id: node.id, set: { pos: [node.pos[0] + dx, node.pos[1] + dy] } });
  }
  for (const id of items.reroutes ?? []) {
    const reroute = e.graph.reroutes.get(id);
    if (reroute) e.change({ op: 'reroute=', id, set: { pos: [reroute.pos[0] + dx, reroute.pos[1] + dy] } });
  }
  for (const id of items.groups ?? []) {
    const group = e.graph.groups.get(id);
    if (group && !group.flags?.pinned) e.change({ op: 'group=', id, set: { box: [group.box[0] + dx, group.box[1] + dy, group.box[2], group.box[3]] } });
  }
}

/** @param {Edit} e @param {[NodeId, [number, number]][]} places */
export function setPositions(e, places) {
  for (const [id, pos] of places) {
    const node = e.graph.node(id);
    if (node && !node.flags.pinned && (node.pos[0] !== pos[0] || node.pos[1] !== pos[1])) e.change({ op: 'node=', id, set: { pos } });
  }
}

/** @param {Edit} e @param {NodeId} id @param {[number, number]} size @param {[number, number]} [pos] */
export function resizeNode(e, id, size, pos) {
  e.change({ op: 'node=', id, set: pos ? { size, pos } : { size } });
}

/** Draws nodes above the others. @param {Edit} e @param {Iterable<NodeId>} ids */
export function raise(e, ids) {
  for (const id of ids) e.change({ op: 'node=', id, set: { z: e.graph.nextZ++ } });
}

/** @param {Edit} e @param {NodeId} id @param {string} name of the widget @param {any} value */
export function setValue(e, id, name, value) {
  const node = e.graph.node(id);
  const widget = node && widgetNamed(node, name);
  if (!node || !widget || ownValue(node, widget) === value) return;
  const key = node.values && !Array.isArray(node.values) ? widget.name : widget.key;
  e.change({ op: 'value', id: node.id, key, name: widget.name, value });
  if (widget.options.choice) syncPorts(e, node);
}

/** @param {Edit} e @param {Iterable<NodeId>} ids @param {number} mode */
export function setMode(e, ids, mode) {
  for (const id of ids) if (e.graph.node(id)?.mode !== mode) e.change({ op: 'node=', id, set: { mode } });
}

/** @param {Edit} e @param {Iterable<NodeId>} ids @param {'collapsed'|'pinned'} flag @param {boolean} on */
export function setFlag(e, ids, flag, on) {
  for (const id of ids) {
    const node = e.graph.node(id);
    if (!node || Boolean(node.flags[flag]) === on) continue;
    const flags = { ...node.flags, [flag]: on };
    if (!on) delete flags[flag];
    e.change({ op: 'node=', id, set: { flags } });
  }
}

/** @param {Edit} e @param {NodeId} id @param {string} title '' takes the type's own title back */
export function setTitle(e, id, title) {
  e.change({ op: 'node=', id, set: { title: title || undefined } });
}

/** The palette of node colours: head and body, as saved in files. */
export const NODE_COLORS = {
  red: ['#322', '#533'], brown: ['#332922', '#593930'], green: ['#232', '#353'], blue: ['#223', '#335'], pale: ['#2a363b', '#3f5159'],
  cyan: ['#233', '#355'], purple: ['#323', '#535'], yellow: ['#432', '#653'], black: ['#222', '#000'],
};

/** @param {Edit} e @param {Iterable<NodeId>} ids @param {string|null} name of NODE_COLORS */
export function setColor(e, ids, name) {
  const [color, bgcolor] = name ? NODE_COLORS[/** @type {keyof typeof NODE_COLORS} */ (name)] : [undefined, undefined];
  for (const id of ids) e.change({ op: 'node=', id, set: { color, bgcolor } });
}

/** The box around some nodes: x0, y0, x1, y1. @param {import('./model.js').Graph} graph @param {Iterable<NodeId>} ids @returns {[number, number, number, number]|null} */
export function boxAround(graph, ids) {
  let box = null;
  for (const id of ids) {
    const node = graph.node(id);
    if (!node) continue;
    const [x0, y0, x1, y1] = boxOf(node);
    box = box ? [Math.min(box[0], x0), Math.min(box[1], y0), Math.max(box[2], x1), Math.max(box[3], y1)] : [x0, y0, x1, y1];
  }
  return /** @type {[number, number, number, number]|null} */ (box);
}
