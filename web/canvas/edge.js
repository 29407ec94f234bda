/** While something is dragged near the edge of the canvas, the view moves on by itself. */

const NEAR = 32; // pixels from the edge
const PACE = 14; // pixels a frame at the edge itself
const TOOLS = new Set(['move', 'link', 'box']);

export class Edge {
  /** @param {import('./stage.js').Stage} stage @param {() => void} follow called after each step, so that the tool sees the new place */
  constructor(stage, follow) {
    this.stage = stage;
    this.follow = follow;
    this.at = { x: 0, y: 0 };
    this.on = false;
    /** a drag that begins at the edge moves nothing until it has been elsewhere */
    this.armed = false;
  }

  /** The pointer is here, in screen pixels. @param {{x: number, y: number}} at */
  move(at) {
    this.at = at;
    const { tool } = this.stage;
    const { x, y } = this.push();
    if (!x && !y) this.armed = true;
    const wanted = Boolean(this.armed && tool && TOOLS.has(tool.name) && (x || y));
    if (wanted && !this.on) this.step();
    this.on = wanted;
  }

  stop() {
    this.on = this.armed = false;
  }

  step() {
    this.stage.frames.once('edge', () => {
      if (!this.on || !this.stage.tool) return void (this.on = false);
      const { x, y } = this.push();
      this.stage.camera.pan(-x, -y);
      this.stage.moved('pan');
      this.follow();
      this.step();
    });
  }

  /** How far the view goes in one frame. */
  push() {
    const { width, height } = this.stage.camera;
    return { x: reach(this.at.x, width), y: reach(this.at.y, height) };
  }
}

/** @param {number} at @param {number} size */
function reach(at, size) {
  if (at < NEAR) return -PACE * Math.min(1, (NEAR - at) / NEAR);
  return at > size - NEAR ? PACE * Math.min(1, (at - size + NEAR) / NEAR) : 0;
}
