/** Shaking: four turns left and right within half a second, while dragging. */

const TURNS = 4;
const WITHIN = 500; // milliseconds
const LEAST = 6; // pixels a stroke must have

export class Shake {
  constructor() {
    this.direction = 0;
    this.from = NaN;
    /** @type {number[]} */ this.turns = [];
  }

  /** True once, at the fourth turn. @param {number} x screen pixels @param {number} time milliseconds */
  move(x, time) {
    if (Number.isNaN(this.from)) this.from = x;
    const stroke = x - this.from;
    const direction = Math.sign(stroke);
    if (!direction) return false;
    if (direction === this.direction || !this.direction) {
      if (!this.direction && Math.abs(stroke) < LEAST) return false;
      this.direction = direction;
      this.from = x;
      return false;
    }
    if (Math.abs(stroke) < LEAST) return false;
    this.direction = direction;
    this.from = x;
    this.turns.push(time);
    this.turns = this.turns.filter((t) => time - t <= WITHIN);
    if (this.turns.length < TURNS) return false;
    this.turns = [];
    return true;
  }
}
