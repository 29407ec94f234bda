/** Draws wires. They are sorted by colour, so that a frame changes the pen a few times and not ten thousand. */

import { bend, FAR, NEAR } from './detail.js';
import { typeLook } from './theme.js';

/** @typedef {import('./look.js').Look} Look */
/** @typedef {import('./routes.js').Routes} Routes */

/**
 * @param {Look} look @param {Routes} routes @param {number[]} seen indices of the stretches in view
 * @param {(id: number) => boolean} bad links that cannot carry anything
 * @param {(i: number) => boolean} strong wires to draw thicker
 */
export function drawWires(look, routes, seen, bad, strong) {
  const { pen, theme, scale } = look;
  /** @type {Map<string, number[]>} */ const plain = new Map();
  /** @type {Map<string, number[]>} */ const thick = new Map();
  for (const i of seen) {
    const into = look.lod !== FAR && strong(i) ? thick : plain;
    const type = routes.links[i].type;
    const list = into.get(type);
    if (list) list.push(i);
    else into.set(type, [i]);
  }
  const width = look.lod === FAR ? 1 / scale : Math.max(2, 1.2 / scale);
  for (const [type, list] of inOrder(plain)) stroke(look, routes, list, typeLook(theme, type).hue, width);
  if (!thick.size) return drawBad(look, routes, seen.filter((i) => bad(routes.links[i].id)), width);
  pen.globalAlpha = 0.28;
  for (const [, list] of inOrder(thick)) stroke(look, routes, list, theme.accent, width + 5);
  pen.globalAlpha = 1;
  for (const [type, list] of inOrder(thick)) stroke(look, routes, list, typeLook(theme, type).hue, width + 0.8);
  drawBad(look, routes, seen.filter((i) => bad(routes.links[i].id)), width);
}

/** Wires that cannot carry anything, over them a red dash and at their end a mark. @param {Look} look @param {Routes} routes @param {number[]} list @param {number} width */
function drawBad(look, routes, list, width) {
  if (!list.length) return;
  look.pen.setLineDash([10, 8]);
  stroke(look, routes, list, look.theme.bad, width + 0.5);
  look.pen.setLineDash([]);
  if (look.lod === NEAR) for (const i of list) warnAt(look, routes.ends[i * 4 + 2] - 18, routes.ends[i * 4 + 3]);
}

/** A mark where a bad wire ends. @param {Look} look @param {number} x @param {number} y */
function warnAt(look, x, y) {
  const { pen, theme } = look;
  pen.beginPath();
  pen.arc(x, y, 7, 0, 2 * Math.PI);
  pen.fillStyle = theme.bad;
  pen.fill();
  look.text('!', x, y + 0.5, 'title', theme.dark ? '#1a0c0c' : '#fff', 12, 'center');
}

/** Always in the same order, so that crossing wires do not change places as the view moves. @param {Map<string, number[]>} map */
function inOrder(map) {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** @param {Look} look @param {Routes} routes @param {number[]} list @param {string} colour @param {number} width */
function stroke(look, routes, list, colour, width) {
  const { pen } = look;
  const { ends } = routes;
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.beginPath();
  for (const i of list) {
    const k = i * 4;
    trace(look, ends[k], ends[k + 1], ends[k + 2], ends[k + 3]);
  }
  pen.stroke();
  look.counters.wires += list.length;
}

/** Adds one wire to the path. @param {Look} look @param {number} ax @param {number} ay @param {number} bx @param {number} by */
export function trace(look, ax, ay, bx, by) {
  const { pen } = look;
  pen.moveTo(ax, ay);
  if (look.lod === FAR || look.wires === 'straight') {
    pen.lineTo(bx, by);
  } else if (look.wires === 'ortho') {
    const mid = bx - ax > 24 ? (ax + bx) / 2 : ax + 16;
    pen.lineTo(mid, ay);
    pen.lineTo(mid, by);
    pen.lineTo(bx, by);
  } else {
    const reach = bend(ax, ay, bx, by);
    pen.bezierCurveTo(ax + reach, ay, bx - reach, by, bx, by);
  }
}

/** One wire on its own, as for a drag. @param {Look} look @param {number[]} ends @param {string} colour @param {number} [width] */
export function drawWire(look, ends, colour, width = 2.5) {
  const { pen } = look;
  pen.strokeStyle = colour;
  pen.lineWidth = Math.max(width, 1.4 / look.scale);
  pen.beginPath();
  trace(look, ends[0], ends[1], ends[2], ends[3]);
  pen.stroke();
}

/** Reroutes as dots. @param {Look} look @param {Iterable<import('../graph/model.js').Reroute>} dots @param {(id: number) => string} type @param {Set<number>} chosen */
export function drawDots(look, dots, type, chosen) {
  const { pen, theme } = look;
  if (look.lod === FAR) return;
  for (const dot of dots) {
    pen.beginPath();
    pen.arc(dot.pos[0], dot.pos[1], 6, 0, 2 * Math.PI);
    pen.fillStyle = typeLook(theme, type(dot.id)).hue;
    pen.fill();
    pen.lineWidth = chosen.has(dot.id) ? 3 : 1.5;
    pen.strokeStyle = chosen.has(dot.id) ? theme.accent : theme.canvas;
    pen.stroke();
  }
}
