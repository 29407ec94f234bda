/** The minimap: every node as a box, kept as one bitmap, and the view as a frame. Dragging in it moves the camera. */

import { union } from './camera.js';
import { typeLook } from './theme.js';

const PAD = 8;
const LATER = 200; // milliseconds from an edit to the new map

export class Mini {
  /** @param {import('./stage.js').Stage} stage @param {HTMLCanvasElement} canvas */
  constructor(stage, canvas) {
    this.stage = stage;
    this.canvas = canvas;
    this.pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    this.back = document.createElement('canvas');
    this.stale = true;
    this.map = { x: 0, y: 0, k: 1 };
    canvas.addEventListener('pointerdown', (event) => this.press(event));
    canvas.addEventListener('pointermove', (event) => event.buttons && this.press(event));
  }

  /** @param {PointerEvent} event */
  press(event) {
    if (event.type === 'pointerdown') this.canvas.setPointerCapture(event.pointerId);
    event.preventDefault();
    event.stopPropagation();
    const { x, y, k } = this.map;
    this.stage.editor.close();
    this.stage.camera.centre((event.offsetX - x) / k, (event.offsetY - y) / k);
    this.stage.moved('jump');
  }

  get shown() {
    return this.canvas.style.display !== 'none';
  }

  /** @param {boolean} on */
  show(on) {
    this.canvas.style.display = on ? '' : 'none';
    if (on) this.stage.mark('mini', 'shown');
  }

  /** The graph has changed: the map follows a moment later, once for many edits. */
  edited() {
    if (this.stale || !this.shown) return void (this.stale = true);
    this.stale = true;
    this.stage.later++;
    window.setTimeout(() => {
      this.stage.later--;
      this.stage.mark('mini', 'edit');
    }, LATER);
  }

  draw() {
    if (!this.shown) return;
    const { stage, canvas, pen } = this;
    const { camera, theme } = stage;
    const k = camera.dpr, w = canvas.clientWidth, h = canvas.clientHeight;
    if (!w || !h) return;
    if (canvas.width !== Math.round(w * k)) {
      canvas.width = this.back.width = Math.round(w * k);
      canvas.height = this.back.height = Math.round(h * k);
      this.stale = true;
    }
    if (this.stale) this.remap(w, h);
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(this.back, 0, 0);
    pen.setTransform(k, 0, 0, k, 0, 0);
    const view = camera.visible();
    const m = this.map;
    pen.strokeStyle = theme.accent;
    pen.lineWidth = 1.5;
    pen.strokeRect(view.x * m.k + m.x, view.y * m.k + m.y, view.w * m.k, view.h * m.k);
  }

  /** Draws the nodes to the bitmap. @param {number} w @param {number} h */
  remap(w, h) {
    const { stage, back } = this;
    const { graph, theme, camera } = stage;
    this.stale = false;
    const pen = /** @type {CanvasRenderingContext2D} */ (back.getContext('2d'));
    pen.setTransform(camera.dpr, 0, 0, camera.dpr, 0, 0);
    pen.clearRect(0, 0, w, h);
    const all = bounds(graph);
    if (!all) return;
    const m = Math.min((w - 2 * PAD) / all.w, (h - 2 * PAD) / all.h, 0.12);
    this.map = { x: w / 2 - (all.x + all.w / 2) * m, y: h / 2 - (all.y + all.h / 2) * m, k: m };
    pen.strokeStyle = theme.edge;
    pen.lineWidth = 1;
    for (const group of graph.groups.values()) pen.strokeRect(group.box[0] * m + this.map.x, group.box[1] * m + this.map.y, group.box[2] * m, group.box[3] * m);
    if (graph.id) for (const box of [graph.inputBox, graph.outputBox]) pen.strokeRect(box[0] * m + this.map.x, box[1] * m + this.map.y, box[2] * m, box[3] * m);
    /** @type {Map<string, number[]>} */ const byColour = new Map();
    for (let i = 0; i < graph.count; i++) {
      const type = graph.list[i].outputs[0]?.type;
      const colour = type ? typeLook(theme, type).hue : theme.dim;
      const list = byColour.get(colour);
      if (list) list.push(i);
      else byColour.set(colour, [i]);
    }
    const { boxes } = graph;
    pen.globalAlpha = 0.75;
    for (const [colour, list] of byColour) {
      pen.fillStyle = colour;
      pen.beginPath();
      for (const i of list) {
        const k = i * 4;
        pen.rect(boxes[k] * m + this.map.x, boxes[k + 1] * m + this.map.y, Math.max(1.5, (boxes[k + 2] - boxes[k]) * m), Math.max(1.5, (boxes[k + 3] - boxes[k + 1]) * m));
      }
      pen.fill();
    }
    pen.globalAlpha = 1;
  }
}

/** What a graph takes up. @param {import('../graph/model.js').Graph} graph @param {Iterable<import('../graph/model.js').NodeId>} [ids] */
export function bounds(graph, ids) {
  const { boxes } = graph;
  /** @type {import('./camera.js').Rect[]} */ const rects = [];
  const add = (/** @type {number} */ k) => rects.push({ x: boxes[k], y: boxes[k + 1], w: boxes[k + 2] - boxes[k], h: boxes[k + 3] - boxes[k + 1] });
  if (ids) {
    for (const id of ids) {
      const node = graph.node(id);
      if (node) add(node.at * 4);
    }
  } else {
    for (let i = 0; i < graph.count; i++) add(i * 4);
    for (const { box } of graph.groups.values()) rects.push({ x: box[0], y: box[1], w: box[2], h: box[3] });
    if (graph.id) for (const box of [graph.inputBox, graph.outputBox]) rects.push({ x: box[0], y: box[1], w: box[2], h: box[3] });
  }
  return union(rects);
}
