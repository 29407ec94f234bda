/** A wire is a cubic with level ends: it leaves to the right and arrives from the left. */

import { bend } from './detail.js';

/** @typedef {import('./camera.js').Point} Point */

/** A point of the wire from (ax, ay) to (bx, by). @param {number} ax @param {number} ay @param {number} bx @param {number} by @param {number} t @returns {Point} */
export function along(ax, ay, bx, by, t) {
  const k = bend(ax, ay, bx, by), u = 1 - t;
  const c0 = u * u * u, c1 = 3 * u * u * t, c2 = 3 * u * t * t, c3 = t * t * t;
  return { x: c0 * ax + c1 * (ax + k) + c2 * (bx - k) + c3 * bx, y: (c0 + c1) * ay + (c2 + c3) * by };
}

/** Distance from (px, py) to the wire. @param {Float32Array | number[]} ends @param {number} at index of ax @param {number} px @param {number} py */
export function distance(ends, at, px, py) {
  const ax = ends[at], ay = ends[at + 1], bx = ends[at + 2], by = ends[at + 3];
  const steps = Math.min(48, Math.max(8, Math.round((Math.abs(bx - ax) + Math.abs(by - ay)) / 24)));
  let best = Infinity, x = ax, y = ay;
  for (let i = 1; i <= steps; i++) {
    const p = along(ax, ay, bx, by, i / steps);
    best = Math.min(best, toSegment(px, py, x, y, p.x, p.y));
    x = p.x;
    y = p.y;
  }
  return best;
}

/** @param {number} px @param {number} py @param {number} ax @param {number} ay @param {number} bx @param {number} by */
export function toSegment(px, py, ax, ay, bx, by) {
  const dx = bx - ax, dy = by - ay;
  const length = dx * dx + dy * dy;
  const t = length ? Math.min(1, Math.max(0, ((px - ax) * dx + (py - ay) * dy) / length)) : 0;
  return Math.hypot(px - ax - t * dx, py - ay - t * dy);
}

/** Whether the wire crosses the segment a-b (a cut). @param {Float32Array | number[]} ends @param {number} at @param {Point} a @param {Point} b */
export function crosses(ends, at, a, b) {
  const ax = ends[at], ay = ends[at + 1], bx = ends[at + 2], by = ends[at + 3];
  let last = { x: ax, y: ay };
  for (let i = 1; i <= 24; i++) {
    const p = along(ax, ay, bx, by, i / 24);
    if (meet(last, p, a, b)) return true;
    last = p;
  }
  return false;
}

/** Whether the wire passes through the rectangle. @param {Float32Array | number[]} ends @param {number} at @param {import('./camera.js').Rect} r */
export function through(ends, at, r) {
  for (let i = 0; i <= 32; i++) {
    const p = along(ends[at], ends[at + 1], ends[at + 2], ends[at + 3], i / 32);
    if (p.x >= r.x && p.x <= r.x + r.w && p.y >= r.y && p.y <= r.y + r.h) return true;
  }
  return false;
}

/** @param {Point} a @param {Point} b @param {Point} c @param {Point} d */
function meet(a, b, c, d) {
  return side(a, b, c) * side(a, b, d) <= 0 && side(c, d, a) * side(c, d, b) <= 0;
}

/** @param {Point} a @param {Point} b @param {Point} p */
function side(a, b, p) {
  return (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x);
}
