/** The camera: screen = (graph + offset) * scale, as in `extra.ds` of a workflow file. */

export const MIN_SCALE = 0.02;
export const MAX_SCALE = 8;

/** @typedef {{x: number, y: number}} Point */
/** @typedef {{x: number, y: number, w: number, h: number}} Rect */

export class Camera {
  constructor() {
    this.x = 0;
    this.y = 0;
    this.scale = 1;
    this.width = 0;
    this.height = 0;
    this.dpr = 1;
  }

  /** Offset snapped to device pixels, so that text at 1:1 is crisp and a pan shifts a bitmap exactly. */
  get left() {
    return Math.round(this.x * this.scale * this.dpr) / this.dpr;
  }

  get top() {
    return Math.round(this.y * this.scale * this.dpr) / this.dpr;
  }

  /** @param {number} x @param {number} y @returns {Point} */
  toScreen(x, y) {
    return { x: x * this.scale + this.left, y: y * this.scale + this.top };
  }

  /** @param {number} x @param {number} y @returns {Point} */
  toGraph(x, y) {
    return { x: (x - this.left) / this.scale, y: (y - this.top) / this.scale };
  }

  /** The graph rectangle in view, grown by `margin` screen pixels. @param {number} [margin] @returns {Rect} */
  visible(margin = 0) {
    const a = this.toGraph(-margin, -margin);
    return { x: a.x, y: a.y, w: (this.width + 2 * margin) / this.scale, h: (this.height + 2 * margin) / this.scale };
  }

  /** @param {number} dx screen pixels @param {number} dy */
  pan(dx, dy) {
    this.x += dx / this.scale;
    this.y += dy / this.scale;
  }

  /** Zoom so that the graph point under (sx, sy) stays there. @param {number} factor @param {number} sx @param {number} sy */
  zoom(factor, sx, sy) {
    const scale = clamp(this.scale * factor, MIN_SCALE, MAX_SCALE);
    this.x += sx / scale - sx / this.scale;
    this.y += sy / scale - sy / this.scale;
    this.scale = scale;
  }

  /** Show `rect` whole, centred; never closer than `limit`. @param {Rect} rect @param {number} [limit] @param {number} [margin] */
  fit(rect, limit = 1, margin = Math.min(48, 0.04 * Math.min(this.width, this.height))) {
    if (!this.width || !this.height) return;
    const w = Math.max(rect.w, 1), h = Math.max(rect.h, 1);
    const room = { w: Math.max(this.width - 2 * margin, 40), h: Math.max(this.height - 2 * margin, 40) };
    this.scale = clamp(Math.min(room.w / w, room.h / h, limit), MIN_SCALE, MAX_SCALE);
    this.centre(rect.x + rect.w / 2, rect.y + rect.h / 2);
  }

  /** @param {number} x graph point to put in the middle @param {number} y */
  centre(x, y) {
    this.x = this.width / 2 / this.scale - x;
    this.y = this.height / 2 / this.scale - y;
  }

  /** @returns {{x: number, y: number, scale: number}} */
  save() {
    return { x: this.x, y: this.y, scale: this.scale };
  }

  /** @param {{x: number, y: number, scale: number}} saved */
  load(saved) {
    this.x = saved.x;
    this.y = saved.y;
    this.scale = clamp(saved.scale, MIN_SCALE, MAX_SCALE);
  }
}

/** @param {number} v @param {number} lo @param {number} hi */
export function clamp(v, lo, hi) {
  return v < lo ? lo : v > hi ? hi : v;
}

/** @param {Rect} a @param {Rect} b */
export function overlaps(a, b) {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

/** @param {Rect} r @param {number} x @param {number} y */
export function inside(r, x, y) {
  return x >= r.x && y >= r.y && x < r.x + r.w && y < r.y + r.h;
}

/** @param {Point} a @param {Point} b @returns {Rect} */
export function rectOf(a, b) {
  return { x: Math.min(a.x, b.x), y: Math.min(a.y, b.y), w: Math.abs(a.x - b.x), h: Math.abs(a.y - b.y) };
}

/** @param {Iterable<Rect>} rects @returns {Rect | null} */
export function union(rects) {
  let x0 = Infinity, y0 = Infinity, x1 = -Infinity, y1 = -Infinity;
  for (const r of rects) {
    x0 = Math.min(x0, r.x);
    y0 = Math.min(y0, r.y);
    x1 = Math.max(x1, r.x + r.w);
    y1 = Math.max(y1, r.y + r.h);
  }
  return x0 < Infinity ? { x: x0, y: y0, w: x1 - x0, h: y1 - y0 } : null;
}
