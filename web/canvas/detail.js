/** Levels of detail. What is too small to read is not drawn. */

export const FAR = 0; // flat boxes, straight wires
export const MID = 1; // body, title bar, sockets as dots, curved wires; no text
export const NEAR = 2; // everything

export const MID_SCALE = 0.16;
export const NEAR_SCALE = 0.4;

/** @param {number} scale */
export function level(scale) {
  return scale < MID_SCALE ? FAR : scale < NEAR_SCALE ? MID : NEAR;
}

/**
 * Indices of the boxes that meet the view. `boxes` holds x0, y0, x1, y1 for each.
 * @param {Float32Array} boxes @param {number} count @param {import('./camera.js').Rect} view @param {number[]} out
 */
export function cull(boxes, count, view, out) {
  out.length = 0;
  const x0 = view.x, y0 = view.y, x1 = view.x + view.w, y1 = view.y + view.h;
  for (let i = 0, k = 0; i < count; i++, k += 4) {
    if (boxes[k] < x1 && boxes[k + 1] < y1 && boxes[k + 2] > x0 && boxes[k + 3] > y0) out.push(i);
  }
  return out;
}

/**
 * Indices of the wires whose curve may meet the view. `ends` holds x1, y1, x2, y2 for each.
 * @param {Float32Array} ends @param {number} count @param {import('./camera.js').Rect} view @param {number[]} out
 */
export function cullWires(ends, count, view, out) {
  out.length = 0;
  const x0 = view.x, y0 = view.y, x1 = view.x + view.w, y1 = view.y + view.h;
  for (let i = 0, k = 0; i < count; i++, k += 4) {
    const ax = ends[k], ay = ends[k + 1], bx = ends[k + 2], by = ends[k + 3];
    if (ay < y0 && by < y0) continue;
    if (ay > y1 && by > y1) continue;
    const slack = ax > bx ? bend(ax, ay, bx, by) : 0;
    const left = ax < bx ? ax : bx, right = ax < bx ? bx : ax;
    if (left - slack < x1 && right + slack > x0) out.push(i);
  }
  return out;
}

/** How far the handles of a wire reach sideways. @param {number} ax @param {number} ay @param {number} bx @param {number} by */
export function bend(ax, ay, bx, by) {
  const dx = bx - ax, dy = Math.abs(by - ay);
  const reach = dx >= 0 ? Math.max(dx * 0.5, Math.min(dy * 0.5, 60)) : 50 - dx * 0.3 + Math.min(dy, 200) * 0.25;
  return Math.min(Math.max(reach, 12), 240);
}
