/** Nodes seen from far away: flat boxes in the colour of what they give, one path a colour. */

import { coloursOf } from './node.js';
import { typeLook } from './theme.js';

/** @typedef {import('../graph/model.js').Node} Node */

/** @param {import('./look.js').Look} look @param {Float32Array} boxes of the graph @param {Node[]} list @param {(node: Node) => boolean} chosen */
export function drawFar(look, boxes, list, chosen) {
  const { pen, theme } = look;
  look.counters.visited += list.length;
  /** @type {Map<string, Node[]>} */ const bodies = new Map();
  /** @type {Map<string, Node[]>} */ const hues = new Map();
  for (const node of list) {
    const plain = !node.mode && !node.color && !node.bgcolor && node.def;
    const on = chosen(node);
    gather(bodies, on ? theme.accent : plain ? theme.title : coloursOf(look, node).head, node);
    const out = plain && !on && node.outputs[0];
    if (out) gather(hues, typeLook(theme, out.type).hue, node);
  }
  for (const [colour, nodes] of bodies) {
    flat(pen, boxes, nodes);
    pen.fillStyle = colour;
    pen.fill();
    if (look.scale < 0.05) continue;
    pen.strokeStyle = theme.edge;
    pen.lineWidth = 1 / look.scale;
    pen.stroke();
  }
  pen.globalAlpha = theme.forced ? 0 : 0.3;
  for (const [colour, nodes] of hues) {
    flat(pen, boxes, nodes);
    pen.fillStyle = colour;
    pen.fill();
  }
  pen.globalAlpha = 1;
}

/** The boxes of nodes as one path. @param {CanvasRenderingContext2D} pen @param {Float32Array} boxes @param {Node[]} nodes */
function flat(pen, boxes, nodes) {
  pen.beginPath();
  for (const node of nodes) {
    const k = node.at * 4;
    pen.rect(boxes[k], boxes[k + 1], boxes[k + 2] - boxes[k], boxes[k + 3] - boxes[k + 1]);
  }
}

/** @param {Map<string, Node[]>} map @param {string} key @param {Node} node */
function gather(map, key, node) {
  const list = map.get(key);
  if (list) list.push(node);
  else map.set(key, [node]);
}
