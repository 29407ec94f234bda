/** Two fingers pan and pinch; two taps of two fingers fit all; a tap of two fingers undoes, of three redoes. */

import { fit } from './acts.js';

/** @typedef {import('../tools/tool.js').Press} Press */

const TAP = 280; // milliseconds
const WANDER = 14; // pixels

export class Touches {
  /** @param {import('./stage.js').Stage} stage */
  constructor(stage) {
    this.stage = stage;
    /** @type {Map<number, {x: number, y: number}>} */ this.fingers = new Map();
    this.most = 0;
    this.started = 0;
    this.travel = 0;
    this.lastTap = -1e9;
    this.pending = 0;
  }

  /** True when more than one finger is down: the canvas takes over from the tool. @param {number} id @param {Press} p */
  down(id, p) {
    if (!this.fingers.size) {
      this.started = p.time;
      this.travel = 0;
      this.most = 0;
    }
    this.fingers.set(id, p.screen);
    this.most = Math.max(this.most, this.fingers.size);
    return this.fingers.size > 1;
  }

  /** @param {number} id @param {Press} p */
  move(id, p) {
    const old = this.fingers.get(id);
    if (!old) return false;
    if (this.most < 2) {
      this.fingers.set(id, p.screen);
      return false;
    }
    const others = [...this.fingers].filter(([key]) => key !== id).map(([, at]) => at);
    this.fingers.set(id, p.screen);
    this.travel += Math.hypot(p.screen.x - old.x, p.screen.y - old.y);
    const other = others[0];
    if (!other || this.travel < WANDER) return true;
    const { stage } = this;
    const before = Math.hypot(old.x - other.x, old.y - other.y), after = Math.hypot(p.screen.x - other.x, p.screen.y - other.y);
    const middle = { x: (p.screen.x + other.x) / 2, y: (p.screen.y + other.y) / 2 };
    stage.camera.pan((p.screen.x - old.x) / 2, (p.screen.y - old.y) / 2);
    if (before > 1) stage.camera.zoom(after / before, middle.x, middle.y);
    stage.moved('zoom');
    return true;
  }

  /** True when the touch was one of several fingers. @param {number} id @param {Press} p */
  up(id, p) {
    this.fingers.delete(id);
    if (this.most < 2) return false;
    if (!this.fingers.size && p.time - this.started < TAP && this.travel < WANDER * 2) this.tap(this.most, p.time);
    return true;
  }

  /** @param {number} id */
  lost(id) {
    this.fingers.delete(id);
  }

  /** @param {number} fingers @param {number} time */
  tap(fingers, time) {
    const { stage } = this;
    clearTimeout(this.pending);
    if (fingers === 3) return void stage.doc.redo();
    if (time - this.lastTap < 400) {
      this.lastTap = -1e9;
      return fit(stage);
    }
    this.lastTap = time;
    // Wait a moment: a second tap means "fit all" and not two steps back.
    this.pending = window.setTimeout(() => stage.doc.undo(), 300);
  }
}
