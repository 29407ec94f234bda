/** Edits that place things: groups around nodes, lines and even gaps. */

import { boxOf } from './shape.js';
import { boxAround } from './edit.js';

/** @typedef {import('./record.js').Edit} Edit */
/** @typedef {import('./model.js').NodeId} NodeId */

/** @param {Edit} e @param {[number, number, number, number]} box @param {string} [title] @param {string} [color] */
export function addGroup(e, box, title = 'Group', color = '#3f789e') {
  const id = e.graph.lastGroup + 1;
  e.change({ op: 'group+', item: { id, title, box, color, fontSize: 24, flags: {} } });
  return e.graph.groups.get(id);
}

/** @param {Edit} e @param {Iterable<NodeId>} ids @param {string} [title] */
export function groupAround(e, ids, title) {
  const box = boxAround(e.graph, ids);
  return box ? addGroup(e, [box[0] - 10, box[1] - 44, box[2] - box[0] + 20, box[3] - box[1] + 54], title) : undefined;
}

/** @param {Edit} e @param {number} id @param {Partial<import('./model.js').Group>} set */
export function setGroup(e, id, set) {
  e.change({ op: 'group=', id, set });
}

/**
 * Frames hold on to the nodes that were moved within them: a group grows where a node it held, and still holds, sticks out.
 * @param {Edit} e @param {Map<number, NodeId[]>} held by group, before the move
 */
export function growGroups(e, held) {
  for (const [id, ids] of held) {
    const group = e.graph.groups.get(id);
    const inside = group && !group.flags?.pinned ? new Set(insideGroup(e.graph, id).nodes) : new Set();
    const around = boxAround(e.graph, ids.filter((one) => inside.has(one)));
    if (!group || !around) continue;
    const [x, y, w, h] = group.box;
    const x0 = Math.min(x, around[0] - 10), y0 = Math.min(y, around[1] - 44), x1 = Math.max(x + w, around[2] + 10), y1 = Math.max(y + h, around[3] + 10);
    if (x0 < x || y0 < y || x1 > x + w || y1 > y + h) setGroup(e, id, { box: [x0, y0, x1 - x0, y1 - y0] });
  }
}

/** The groups that hold some nodes and are not moved with them. @param {import('./model.js').Graph} graph @param {Iterable<NodeId>} ids @param {Iterable<number>} moved groups @returns {Map<number, NodeId[]>} */
export function holders(graph, ids, moved) {
  /** @type {Map<number, NodeId[]>} */ const held = new Map();
  const wanted = new Set(ids), along = new Set(moved);
  for (const id of graph.groups.keys()) {
    const found = along.has(id) ? [] : insideGroup(graph, id).nodes.filter((one) => wanted.has(one));
    if (found.length) held.set(id, found);
  }
  return held;
}

/** What lies in a group: things whose middle is inside its box. @param {import('./model.js').Graph} graph @param {number} id */
export function insideGroup(graph, id) {
  const group = graph.groups.get(id);
  /** @type {{nodes: NodeId[], groups: number[], reroutes: number[]}} */ const found = { nodes: [], groups: [], reroutes: [] };
  if (!group) return found;
  const [gx, gy, gw, gh] = group.box;
  /** @param {number} x @param {number} y */
  const has = (x, y) => x >= gx && x <= gx + gw && y >= gy && y <= gy + gh;
  for (const node of graph.nodes.values()) {
    const [x0, y0, x1, y1] = boxOf(node);
    if (has((x0 + x1) / 2, (y0 + y1) / 2)) found.nodes.push(node.id);
  }
  for (const other of graph.groups.values()) {
    const [x, y, w, h] = other.box;
    if (other !== group && x >= gx && y >= gy && x + w <= gx + gw && y + h <= gy + gh) found.groups.push(other.id);
  }
  for (const reroute of graph.reroutes.values()) if (has(...reroute.pos)) found.reroutes.push(reroute.id);
  return found;
}

/** @param {Edit} e @param {Iterable<NodeId>} ids @param {'left'|'right'|'top'|'bottom'|'centerX'|'centerY'} edge */
export function align(e, ids, edge) {
  const list = [...ids];
  const around = boxAround(e.graph, list);
  if (!around) return;
  const [x0, y0, x1, y1] = around;
  for (const id of list) {
    const node = e.graph.node(id);
    if (!node || node.flags.pinned) continue;
    const box = boxOf(node);
    const shift = { left: [x0 - box[0], 0], right: [x1 - box[2], 0], top: [0, y0 - box[1]], bottom: [0, y1 - box[3]], centerX: [(x0 + x1 - box[0] - box[2]) / 2, 0], centerY: [0, (y0 + y1 - box[1] - box[3]) / 2] }[edge];
    if (shift[0] || shift[1]) e.change({ op: 'node=', id, set: { pos: [node.pos[0] + shift[0], node.pos[1] + shift[1]] } });
  }
}

/** Makes the gaps between nodes equal. @param {Edit} e @param {Iterable<NodeId>} ids @param {'x'|'y'} axis */
export function distribute(e, ids, axis) {
  const k = axis === 'x' ? 0 : 1;
  const items = [...ids].flatMap((id) => {
    const node = e.graph.node(id);
    return node ? [{ node, box: boxOf(node) }] : [];
  });
  if (items.length < 3) return;
  items.sort((a, b) => a.box[k] - b.box[k]);
  const first = items[0].box[k];
  const last = Math.max(...items.map(({ box }) => box[k + 2]));
  const filled = items.reduce((sum, { box }) => sum + box[k + 2] - box[k], 0);
  const gap = (last - first - filled) / (items.length - 1);
  let at = first;
  for (const { node, box } of items) {
    /** @type {[number, number]} */ const pos = [...node.pos];
    pos[k] += at - box[k];
    at += box[k + 2] - box[k] + gap;
    if (!node.flags.pinned && pos[k] !== node.pos[k]) e.change({ op: 'node=', id: node.id, set: { pos } });
  }
}
