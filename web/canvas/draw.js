/** The scene layer: everything that does not move by itself. Redrawn in full, or, where that is dear, shifted or scaled from the last drawing. */

import { rerouteChain } from '../graph/model.js';
import { cull, cullWires, FAR } from './detail.js';
import { drawGroup } from './group.js';
import { drawColumn } from './column.js';
import { Look } from './look.js';
import { drawFar } from './far.js';
import { Spoil } from './spoil.js';
import { drawNode } from './node.js';
import { drawDots, drawWires } from './wire.js';

/** @typedef {import('./camera.js').Rect} Rect */
/** @typedef {import('../graph/model.js').Node} Node */

const DEAR = 10; // milliseconds of a full draw from which a gesture reuses the last picture
const STRETCH = 1.4; // a scaled picture is redrawn when it is off by more
const SETTLE = 80; // milliseconds after a gesture until it is drawn sharp

export class Scene {
  /** @param {import('./stage.js').Stage} stage @param {HTMLCanvasElement} canvas */
  constructor(stage, canvas) {
    this.stage = stage;
    this.canvas = canvas;
    this.pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { alpha: false }));
    this.look = new Look(this.pen, stage.theme, stage.texts, stage.counters, (key, vars) => stage.app.t(key, vars));
    this.back = document.createElement('canvas');
    /** what `canvas` shows: the camera it was drawn with @type {{left: number, top: number, scale: number, sharp: boolean} | null} */
    this.shown = null;
    /** what `back` holds @type {{left: number, top: number, scale: number} | null} */
    this.kept = null;
    this.timer = 0;
    this.spoil = new Spoil();
    /** @type {number[]} */ this.seen = [];
    /** @type {number[]} */ this.wires = [];
  }

  /** @param {string[]} reasons */
  draw(reasons) {
    const { stage } = this;
    stage.fresh();
    if (reasons.every((reason) => reason === 'part') && this.part()) return;
    const moved = reasons.every((reason) => reason === 'pan' || reason === 'zoom');
    if (moved && this.shown?.sharp && stage.counters.lastMs > DEAR && stage.camera.dpr > 1) this.coarsen(true);
    else if (!moved) this.coarsen(false);
    if (stage.coarse) this.later();
    if (moved && this.shown && stage.counters.lastMs > DEAR && (this.shown.sharp ? this.shift() || this.stretch() : this.stretch())) return;
    this.full();
  }

  /** Pixels of the canvas a CSS pixel: while a gesture runs on a dense screen, one. */
  get k() {
    return this.stage.coarse ? 1 : this.stage.camera.dpr;
  }

  /** Takes the canvas to one pixel a CSS pixel, with the picture it has, or back to the screen's own, blank. @param {boolean} on */
  coarsen(on) {
    const { stage, canvas, pen } = this;
    if (stage.coarse === on) return;
    if (on) this.copy();
    stage.coarse = on;
    canvas.width = Math.round(stage.camera.width * this.k);
    canvas.height = Math.round(stage.camera.height * this.k);
    if (on) pen.drawImage(this.back, 0, 0, canvas.width, canvas.height);
  }

  /** Keeps the picture in `back`. */
  copy() {
    const { canvas, back } = this;
    if (back.width !== canvas.width || back.height !== canvas.height) {
      back.width = canvas.width;
      back.height = canvas.height;
    }
    /** @type {CanvasRenderingContext2D} */ (back.getContext('2d', { alpha: false })).drawImage(canvas, 0, 0);
  }

  /** Draws sharp a moment after the gesture. */
  later() {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.stage.mark('scene', 'sharpen'), SETTLE);
  }

  full() {
    const { stage, canvas } = this;
    const { camera, counters } = stage;
    const start = performance.now();
    if (!stage.coarse) clearTimeout(this.timer);
    this.kept = null;
    counters.visited = counters.texts = counters.wires = 0;
    this.paint({ x: 0, y: 0, w: canvas.width / this.k, h: canvas.height / this.k });
    this.shown = { left: camera.left, top: camera.top, scale: camera.scale, sharp: true };
    stage.spoiled.clear();
    this.spoil.keep(stage.graph, stage.routes);
    counters.how = 'full';
    counters.full++;
    counters.lastMs = performance.now() - start;
  }

  /** Paints anew only where nodes have changed; false when that is most of the view, or the picture is not what it was. */
  part() {
    const { stage, shown } = this;
    const { camera, counters, spoiled } = stage;
    const still = shown?.sharp && !stage.coarse && shown.left === camera.left && shown.top === camera.top && shown.scale === camera.scale;
    const found = still && !stage.drag && !stage.wiring ? this.spoil.area(spoiled, stage.graph, stage.routes) : null;
    if (!found) return false;
    const a = camera.toScreen(found.x, found.y), b = camera.toScreen(found.x + found.w, found.y + found.h);
    const x = Math.max(0, Math.floor(a.x)), y = Math.max(0, Math.floor(a.y));
    const area = { x, y, w: Math.min(camera.width, Math.ceil(b.x)) - x, h: Math.min(camera.height, Math.ceil(b.y)) - y };
    if (area.w * area.h > 0.6 * camera.width * camera.height) return false;
    counters.visited = counters.texts = counters.wires = 0;
    if (area.w > 0 && area.h > 0) this.paint(area);
    spoiled.clear();
    this.spoil.keep(stage.graph, stage.routes);
    counters.how = 'part';
    counters.part++;
    return true;
  }

  /** A pan moves the last picture and paints the strips that came into view. */
  shift() {
    const { stage, canvas, pen, shown } = this;
    const { camera, counters } = stage;
    if (!shown || shown.scale !== camera.scale) return false;
    const { k } = this, dx = Math.round((camera.left - shown.left) * k), dy = Math.round((camera.top - shown.top) * k);
    if (Math.abs(dx) > canvas.width * 0.6 || Math.abs(dy) > canvas.height * 0.6) return false;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.globalCompositeOperation = 'copy';
    pen.drawImage(canvas, dx, dy);
    pen.globalCompositeOperation = 'source-over';
    this.strips({ x: dx / k, y: dy / k, w: camera.width, h: camera.height });
    this.shown = { left: shown.left + dx / k, top: shown.top + dy / k, scale: camera.scale, sharp: true };
    counters.how = 'shift';
    counters.shift++;
    return true;
  }

  /** A zoom scales the last sharp picture; it is drawn anew a moment after. */
  stretch() {
    const { stage, back, pen } = this;
    const { camera, counters } = stage;
    if (!this.kept) {
      if (!this.shown?.sharp) return false;
      this.copy();
      this.kept = { left: this.shown.left, top: this.shown.top, scale: this.shown.scale };
    }
    const ratio = camera.scale / this.kept.scale;
    if (ratio > STRETCH || ratio < 1 / STRETCH) return false;
    const x = camera.left - this.kept.left * ratio, y = camera.top - this.kept.top * ratio;
    const w = camera.width * ratio, h = camera.height * ratio, { k } = this;
    if (x > camera.width * 0.5 || y > camera.height * 0.5 || x + w < camera.width * 0.5 || y + h < camera.height * 0.5) return false;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.imageSmoothingQuality = 'low';
    pen.drawImage(back, x * k, y * k, w * k, h * k);
    this.strips({ x: Math.ceil(x), y: Math.ceil(y), w: Math.floor(w), h: Math.floor(h) });
    this.shown = { left: camera.left, top: camera.top, scale: camera.scale, sharp: false };
    this.later();
    counters.how = 'scale';
    counters.scaled++;
    return true;
  }

  /** Paints what `kept`, a screen rectangle, leaves open. @param {Rect} kept */
  strips(kept) {
    const { width, height } = this.stage.camera;
    const x0 = Math.max(0, kept.x), x1 = Math.min(width, kept.x + kept.w), y0 = Math.max(0, kept.y), y1 = Math.min(height, kept.y + kept.h);
    if (y0 > 0) this.paint({ x: 0, y: 0, w: width, h: y0 });
    if (y1 < height) this.paint({ x: 0, y: y1, w: width, h: height - y1 });
    if (x0 > 0) this.paint({ x: 0, y: y0, w: x0, h: y1 - y0 });
    if (x1 < width) this.paint({ x: x1, y: y0, w: width - x1, h: y1 - y0 });
  }

  /** Paints one rectangle of the screen. @param {Rect} area in CSS pixels */
  paint(area) {
    const { stage, pen, look } = this;
    const { camera } = stage;
    look.theme = stage.theme;
    look.wires = stage.app.prefs?.get('canvas.links') ?? 'curve';
    const { k } = this;
    pen.save();
    pen.setTransform(k, 0, 0, k, 0, 0);
    pen.beginPath();
    pen.rect(area.x, area.y, area.w, area.h);
    pen.clip();
    pen.fillStyle = stage.theme.canvas;
    pen.fillRect(area.x, area.y, area.w, area.h);
    look.enter(camera, k);
    const a = camera.toGraph(area.x, area.y);
    // A little more than the area: lines and dots are wider than where they are.
    const edge = 4 + 4 / camera.scale;
    const view = { x: a.x - edge, y: a.y - edge, w: area.w / camera.scale + 2 * edge, h: area.h / camera.scale + 2 * edge };
    this.grid(view);
    this.groups(view);
    this.links(view);
    this.nodes(view);
    pen.restore();
  }

  /** Dots every 40 units (or a multiple, when far away). @param {Rect} view */
  grid(view) {
    const { pen, look } = this;
    const { scale } = look;
    if (scale < 0.08 || this.stage.theme.forced) return;
    const gap = scale < 0.25 ? 160 : scale < 0.6 ? 80 : 40;
    const size = Math.max(1.2, 1 / scale);
    pen.fillStyle = look.theme.dot;
    pen.beginPath();
    for (let x = Math.floor(view.x / gap) * gap; x < view.x + view.w; x += gap) {
      for (let y = Math.floor(view.y / gap) * gap; y < view.y + view.h; y += gap) pen.rect(x - size / 2, y - size / 2, size, size);
    }
    pen.fill();
  }

  /** @param {Rect} view */
  groups(view) {
    const { stage, look } = this;
    const { graph, drag, doc } = stage;
    if (graph.id) for (const side of /** @type {const} */ (['in', 'out'])) drawColumn(look, graph, side, stage.wiring);
    if (!graph.groups.size) return;
    const list = [...graph.groups.values()].sort((a, b) => a.z - b.z);
    for (const group of list) {
      const [x, y, w, h] = group.box;
      if (x > view.x + view.w || y > view.y + view.h || x + w < view.x || y + h < view.y || drag?.groups.has(group.id)) continue;
      drawGroup(look, group, doc.selection.groups.has(group.id));
    }
  }

  /** @param {Rect} view */
  links(view) {
    const { stage, look } = this;
    const { routes, drag, wiring, doc } = stage;
    cullWires(routes.ends, routes.count, view, this.wires);
    let seen = this.wires;
    const hidden = hiddenLinks(stage.graph);
    if (drag || wiring?.lifted.size || hidden) {
      seen = seen.filter((i) => !(drag && (holds(drag, routes.starts[i]) || holds(drag, routes.stops[i]))) && !wiring?.lifted.has(routes.links[i].id) && !hidden?.has(routes.links[i].id));
    }
    const { nodes } = doc.selection;
    drawWires(look, routes, seen, (id) => routes.bad.has(id) || stage.clashes.has(id), (i) => nodes.size > 0 && nodes.size < 200 && (nodes.has(routes.links[i].from) || nodes.has(routes.links[i].to)));
    const dots = drag ? routes.dots.filter((dot) => !drag.reroutes.has(dot.id)) : routes.dots;
    if (dots.length) drawDots(look, dots, dotTypes(stage), doc.selection.reroutes);
  }

  /** @param {Rect} view */
  nodes(view) {
    const { stage, look } = this;
    const { graph, drag, media } = stage;
    const edge = look.lod === FAR ? 0 : 10;
    cull(graph.boxes, graph.count, { x: view.x - edge, y: view.y - edge, w: view.w + 2 * edge, h: view.h + 2 * edge }, this.seen);
    /** @type {Node[]} */ let list = this.seen.map((i) => graph.list[i]);
    if (look.lod !== FAR) for (const node of media.trays) if (node.at >= 0 && !list.includes(node)) list.push(node);
    if (drag) list = list.filter((node) => !drag.nodes.has(node));
    if (look.lod === FAR) return drawFar(look, graph.boxes, list, (node) => stage.doc.selection.nodes.has(node.id));
    list.sort((a, b) => a.z - b.z);
    const scene = this.sceneOf();
    for (const node of list) drawNode(look, node, scene);
  }

  /** What the drawing of a node needs to know. @returns {import('./node.js').Scene} */
  sceneOf() {
    const { stage } = this;
    const { selection } = stage.doc;
    return {
      chosen: (node) => selection.nodes.has(node.id),
      usable: stage.wiring && stage.wiring.fits,
      media: (look, node) => stage.media.draw(look, node),
    };
  }
}

/** @param {import('./stage.js').Drag} drag @param {import('./routes.js').Anchor} anchor */
export function holds(drag, anchor) {
  if (!anchor) return false;
  return 'size' in anchor ? drag.nodes.has(anchor) : drag.reroutes.has(anchor.id);
}

/** Links that the file says not to show. @param {import('../graph/model.js').Graph} graph @returns {Set<number> | null} */
function hiddenLinks(graph) {
  const list = graph.extra?.linkPresentation;
  if (!list || typeof list !== 'object') return null;
  const rows = Array.isArray(list) ? list : Object.entries(list).map(([id, row]) => ({ id: Number(id), ...row }));
  const hidden = new Set(rows.filter((row) => row.hidden).map((row) => Number(row.id)));
  return hidden.size ? hidden : null;
}

/** The type that runs through each reroute. @param {import('./stage.js').Stage} stage */
function dotTypes(stage) {
  /** @type {Map<number, string>} */ const types = new Map();
  for (const link of stage.graph.links.values()) {
    if (link.parent !== undefined) for (const dot of rerouteChain(stage.graph, link)) types.set(dot.id, link.type);
  }
  return (/** @type {number} */ id) => types.get(id) ?? '*';
}
