/** What is under a point: the topmost socket, widget, node, reroute, wire or group. Pure; distances are in graph units. */

import { collapsedWidth, columnHeight, geometry, ioPos, slotPos, TITLE, WIDGET } from '../graph/shape.js';
import { takesLink } from '../widget/kinds.js';
import { NEAR, level } from './detail.js';
import { distance } from './curve.js';
import { GROUP_TITLE } from './group.js';

/** @typedef {import('../graph/model.js').Node} Node */
/** @typedef {import('../graph/model.js').Graph} Graph */
/** @typedef {import('../graph/model.js').Widget} Widget */
/** @typedef {import('./camera.js').Rect} Rect */

/**
 * @typedef {{kind: 'socket', node: Node, side: 'in' | 'out', index: number, widget?: Widget}
 *   | {kind: 'io', side: 'in' | 'out', index: number} | {kind: 'column', side: 'in' | 'out'}
 *   | {kind: 'widget', node: Node, widget: Widget, box: Rect}
 *   | {kind: 'fold', node: Node} | {kind: 'corner', node: Node} | {kind: 'body', node: Node}
 *   | {kind: 'title', node: Node, third: number}
 *   | {kind: 'media', node: Node, box: Rect}
 *   | {kind: 'reroute', id: number}
 *   | {kind: 'wire', link: number, stretch: number}
 *   | {kind: 'group', id: number} | {kind: 'groupcorner', id: number}
 *   | {kind: 'canvas'}} Hit
 */

/**
 * @typedef {object} Field what is searched
 * @property {Graph} graph
 * @property {import('./routes.js').Routes} routes
 * @property {number} scale
 * @property {number} reach radius of a socket for the pointer, in screen pixels
 * @property {(node: Node) => Rect | null} media where a node shows pictures
 * @property {Iterable<Node>} trays nodes that show them below their body
 */

/** @param {Field} field @param {number} x @param {number} y @returns {Hit} */
export function pick(field, x, y) {
  const { graph, scale } = field;
  const near = level(scale) === NEAR;
  const reach = near ? Math.max(9, field.reach / scale) : 0;
  return (near && pickIo(graph, x, y, reach)) || pickNodes(field, x, y, near ? reach : 0) || pickReroute(graph, x, y, Math.max(9, 7 / scale))
    || pickWire(field, x, y) || pickColumn(graph, x, y) || pickGroup(graph, x, y, scale) || { kind: 'canvas' };
}

/** @param {Graph} graph @param {number} x @param {number} y @param {number} reach @returns {Hit | null} */
function pickIo(graph, x, y, reach) {
  if (!graph.id) return null;
  for (const side of /** @type {const} */ (['in', 'out'])) {
    const ports = side === 'in' ? graph.inputs : graph.outputs;
    for (let index = 0; index <= ports.length; index++) {
      const [px, py] = ioPos(graph, side, index);
      if (Math.hypot(px - x, py - y) < reach) return { kind: 'io', side, index };
    }
  }
  return null;
}

/** @param {Graph} graph @param {number} x @param {number} y @returns {Hit | null} */
function pickColumn(graph, x, y) {
  if (!graph.id) return null;
  for (const side of /** @type {const} */ (['in', 'out'])) {
    const [bx, by, w] = side === 'in' ? graph.inputBox : graph.outputBox;
    if (x >= bx && x < bx + w && y >= by && y < by + columnHeight(graph, side)) return { kind: 'column', side };
  }
  return null;
}

/** @param {Field} field @param {number} x @param {number} y @param {number} reach @returns {Hit | null} */
function pickNodes(field, x, y, reach) {
  const { boxes, count, list } = field.graph;
  /** @type {Node[]} */ const close = [];
  for (let i = 0, k = 0; i < count; i++, k += 4) {
    if (x >= boxes[k] - reach && x < boxes[k + 2] + reach && y >= boxes[k + 1] - reach && y < boxes[k + 3] + reach) close.push(list[i]);
  }
  if (reach) for (const node of field.trays) if (!close.includes(node)) close.push(node);
  close.sort((a, b) => b.z - a.z);
  for (const node of close) {
    const hit = (reach && pickSocket(node, x, y, reach)) || pickNode(field, node, x, y, reach > 0);
    if (hit) return hit;
  }
  return null;
}

/** The nearest socket within reach. @param {Node} node @param {number} x @param {number} y @param {number} reach @returns {Hit | null} */
export function pickSocket(node, x, y, reach) {
  /** @type {Hit | null} */ let best = null;
  let least = reach;
  const look = (/** @type {'in' | 'out'} */ side, /** @type {number} */ index) => {
    const [sx, sy] = slotPos(node, side, index);
    const d = Math.hypot(sx - x, sy - y);
    // Widgets begin a little right of their socket: there only the socket's own few pixels count.
    const small = side === 'in' && node.inputs[index].widget && x > sx + 8;
    if (d < least && !small) {
      least = d;
      best = { kind: 'socket', node, side, index };
    }
  };
  node.outputs.forEach((_, i) => look('out', i));
  node.inputs.forEach((_, i) => look('in', i));
  return best ?? pickWidgetSocket(node, x, y, reach);
}

/** A widget that has no slot in the file yet has a socket all the same. @param {Node} node @param {number} x @param {number} y @param {number} reach @returns {Hit | null} */
function pickWidgetSocket(node, x, y, reach) {
  if (node.flags.collapsed || x > node.pos[0] + 7) return null;
  const { rows } = geometry(node);
  for (let i = 0; i < node.widgets.length; i++) {
    const widget = node.widgets[i];
    if (widget.hidden || !takesLink(widget) || node.inputs.some((slot) => slot.widget?.name === widget.name)) continue;
    const middle = node.pos[1] + rows[i * 2] + Math.min(rows[i * 2 + 1], WIDGET - 4) / 2;
    if (Math.hypot(node.pos[0] - x, middle - y) < Math.min(reach, 9)) return { kind: 'socket', node, side: 'in', index: -1, widget };
  }
  return null;
}

/** @param {Field} field @param {Node} node @param {number} x @param {number} y @param {boolean} near @returns {Hit | null} */
function pickNode(field, node, x, y, near) {
  const [nx, ny] = node.pos;
  const folded = Boolean(node.flags.collapsed);
  const shape = geometry(node);
  const width = folded ? collapsedWidth(node) : shape.width;
  if (x >= nx && x < nx + width && y >= ny - TITLE && y < ny) {
    if (near && x < nx + 24) return { kind: 'fold', node };
    return { kind: 'title', node, third: x < nx + width / 3 ? -1 : x > nx + (2 * width) / 3 ? 1 : 0 };
  }
  const box = folded ? null : field.media(node);
  if (near && box && x >= box.x && x < box.x + box.w && y >= box.y && y < box.y + box.h) return { kind: 'media', node, box };
  if (folded || x < nx || x >= nx + width || y < ny || y >= ny + shape.height) return null;
  if (!near) return { kind: 'body', node };
  if (x > nx + width - 14 && y > ny + shape.height - 14) return { kind: 'corner', node };
  for (let i = 0; i < node.widgets.length; i++) {
    const top = ny + shape.rows[i * 2], h = shape.rows[i * 2 + 1];
    if (h && y >= top && y < top + h && x >= nx + 8 && x < nx + width - 8) {
      return { kind: 'widget', node, widget: node.widgets[i], box: { x: nx + 10, y: top, w: width - 20, h } };
    }
  }
  return { kind: 'body', node };
}

/** @param {Graph} graph @param {number} x @param {number} y @param {number} reach @returns {Hit | null} */
function pickReroute(graph, x, y, reach) {
  for (const dot of graph.reroutes.values()) {
    if (Math.hypot(dot.pos[0] - x, dot.pos[1] - y) < reach) return { kind: 'reroute', id: dot.id };
  }
  return null;
}

/** @param {Field} field @param {number} x @param {number} y @returns {Hit | null} */
function pickWire({ routes, scale }, x, y) {
  const reach = Math.max(5, 6 / scale);
  let best = reach, at = -1;
  for (let i = 0, k = 0; i < routes.count; i++, k += 4) {
    const { ends } = routes;
    const ay = ends[k + 1], by = ends[k + 3];
    if (y < Math.min(ay, by) - reach || y > Math.max(ay, by) + reach) continue;
    if (x < Math.min(ends[k], ends[k + 2]) - 240 || x > Math.max(ends[k], ends[k + 2]) + 240) continue;
    const d = distance(ends, k, x, y);
    if (d < best) {
      best = d;
      at = i;
    }
  }
  return at < 0 ? null : { kind: 'wire', link: routes.links[at].id, stretch: at };
}

/** @param {Graph} graph @param {number} x @param {number} y @param {number} scale @returns {Hit | null} */
function pickGroup(graph, x, y, scale) {
  const groups = [...graph.groups.values()].sort((a, b) => b.z - a.z);
  for (const { id, box } of groups) {
    const [gx, gy, w, h] = box;
    if (x < gx || y < gy || x > gx + w || y > gy + h) continue;
    const grip = Math.max(16, 12 / scale);
    if (x > gx + w - grip && y > gy + h - grip) return { kind: 'groupcorner', id };
    if (y < gy + Math.max(GROUP_TITLE, 14 / scale)) return { kind: 'group', id };
  }
  return null;
}

/** The node of a hit, if it is on one. @param {Hit} hit @returns {Node | null} */
export function nodeOf(hit) {
  return 'node' in hit ? hit.node : null;
}
