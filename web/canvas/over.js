/** The overlay: what moves under the pointer or while a job runs. It is cleared and drawn anew; the scene below stays as it is. */

import { folderOf, LOADED } from '../graph/kin.js';
import { slotPos } from '../graph/shape.js';
import { cullWires, FAR, NEAR } from './detail.js';
import { holds } from './draw.js';
import { round, socket } from './glyph.js';
import { drawGroup } from './group.js';
import { Look } from './look.js';
import { drawNode } from './node.js';
import { drawRun } from './progress.js';
import { typeLook } from './theme.js';
import { drawDots, drawWire, trace } from './wire.js';

/** @typedef {import('../graph/model.js').Node} Node */

const SAID = 140; // what a node says stands above it, at most so high

export class Over {
  /** @param {import('./stage.js').Stage} stage @param {HTMLCanvasElement} canvas */
  constructor(stage, canvas) {
    this.stage = stage;
    this.canvas = canvas;
    this.pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    const { counters } = stage;
    this.look = new Look(this.pen, stage.theme, stage.texts, Object.assign(Object.create(counters), { texts: 0, visited: 0, wires: 0 }), (key, vars) => stage.app.t(key, vars));
    this.empty = true;
    this.said = '';
    /** @type {number[]} */ this.wires = [];
  }

  draw() {
    const { stage, pen, canvas, look } = this;
    const { counters } = stage;
    look.theme = stage.theme;
    look.wires = stage.app.prefs?.get('canvas.links') ?? 'curve';
    const busy = Boolean(stage.drag || stage.wiring || stage.tool?.draw || stage.active.size || stage.media.live.size || hot(stage.hover));
    stage.counters.tip = this.said = '';
    if (!busy && this.empty) return;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    this.empty = !busy;
    if (!busy) return;
    look.enter(stage.camera);
    look.counters.visited = look.counters.texts = 0;
    this.live();
    this.runs();
    if (stage.drag) this.dragged(stage.drag);
    else if (!stage.wiring && !stage.tool) this.hover();
    if (stage.wiring) this.wiring(stage.wiring);
    stage.tool?.draw?.(look);
    counters.overNodes = look.counters.visited;
    counters.overTexts = look.counters.texts;
    counters.tip = this.said;
  }

  live() {
    const { stage, look } = this;
    if (look.lod === FAR) return;
    for (const id of stage.media.live.keys()) {
      const node = stage.graph.node(id);
      if (node && !stage.drag?.nodes.has(node)) stage.media.drawLive(look, node);
    }
  }

  runs() {
    const { stage, look } = this;
    const view = stage.camera.visible();
    const slowest = stage.app.prefs?.get('canvas.stats') === false ? 0 : this.slowest();
    for (const id of stage.active) {
      const node = stage.graph.node(id);
      if (!node || stage.drag?.nodes.has(node)) continue;
      const k = node.at * 4, { boxes } = stage.graph;
      if (boxes[k] > view.x + view.w || boxes[k + 2] < view.x || boxes[k + 1] > view.y + view.h + SAID || boxes[k + 3] < view.y - 60) continue;
      drawRun(look, node, stage.doc.run.stateOf(stage.doc, id), slowest, loads(node) ? '' : stage.doc.run.notes.get(stage.doc.key(id)));
    }
  }

  /** Milliseconds of the node that took longest. */
  slowest() {
    const { active, doc } = this.stage;
    let most = 0;
    for (const id of active) most = Math.max(most, doc.run.stateOf(doc, id).ms ?? 0);
    return most;
  }

  /** @param {import('./stage.js').Drag} drag */
  dragged(drag) {
    const { stage, look, pen } = this;
    const { routes, graph } = stage;
    const { dx, dy } = drag;
    const view = stage.camera.visible(40);
    for (const id of drag.groups) {
      const group = graph.groups.get(id);
      if (group) this.shifted(dx, dy, () => drawGroup(look, group, true));
    }
    cullWires(routes.ends, routes.count, { x: view.x - Math.abs(dx) - view.w, y: view.y - Math.abs(dy) - view.h, w: view.w * 3 + 2 * Math.abs(dx), h: view.h * 3 + 2 * Math.abs(dy) }, this.wires);
    /** @type {Map<string, number[]>} */ const byType = new Map();
    for (const i of this.wires) {
      if (!holds(drag, routes.starts[i]) && !holds(drag, routes.stops[i])) continue;
      const list = byType.get(routes.links[i].type);
      if (list) list.push(i);
      else byType.set(routes.links[i].type, [i]);
    }
    for (const [type, list] of byType) {
      pen.strokeStyle = typeLook(look.theme, type).hue;
      pen.lineWidth = look.lod === FAR ? 1 / look.scale : Math.max(2.4, 1.2 / look.scale);
      pen.beginPath();
      for (const i of list) {
        const k = i * 4, a = holds(drag, routes.starts[i]), b = holds(drag, routes.stops[i]);
        trace(look, routes.ends[k] + (a ? dx : 0), routes.ends[k + 1] + (a ? dy : 0), routes.ends[k + 2] + (b ? dx : 0), routes.ends[k + 3] + (b ? dy : 0));
      }
      pen.stroke();
    }
    const scene = { chosen: () => true, usable: null, media: (/** @type {Look} */ l, /** @type {Node} */ n) => stage.media.draw(l, n) };
    const { boxes } = graph;
    this.shifted(dx, dy, () => {
      for (const node of [...drag.nodes].sort((p, q) => p.z - q.z)) {
        const k = node.at * 4;
        if (boxes[k] + dx > view.x + view.w || boxes[k + 2] + dx < view.x || boxes[k + 1] + dy > view.y + view.h || boxes[k + 3] + dy < view.y) continue;
        if (look.lod === FAR) this.flat(node);
        else drawNode(look, node, scene);
      }
      drawDots(look, routes.dots.filter((dot) => drag.reroutes.has(dot.id)), () => '*', drag.reroutes);
    });
  }

  /** @param {Node} node */
  flat(node) {
    const { boxes } = this.stage.graph;
    const k = node.at * 4;
    this.look.counters.visited++;
    this.pen.fillStyle = this.look.theme.accent;
    this.pen.fillRect(boxes[k], boxes[k + 1], boxes[k + 2] - boxes[k], boxes[k + 3] - boxes[k + 1]);
  }

  /** @param {number} dx @param {number} dy @param {() => void} draw */
  shifted(dx, dy, draw) {
    this.pen.translate(dx, dy);
    draw();
    this.pen.translate(-dx, -dy);
  }

  /** The wire under way, and where it would end. @param {import('./stage.js').Wiring} wiring */
  wiring(wiring) {
    const { stage, look, pen } = this;
    const aim = wiring.aim;
    const at = aim ?? stage.pointer;
    for (const end of wiring.ends) {
      const hue = typeLook(look.theme, end.type).hue;
      const line = wiring.side === 'out' ? [end.x, end.y, at.x, at.y] : [at.x, at.y, end.x, end.y];
      drawWire(look, line, hue, 3);
      pen.beginPath();
      socket(pen, typeLook(look.theme, end.type).shape, end.x, end.y, 6.5);
      pen.fillStyle = hue;
      pen.fill();
    }
    if (!aim) return;
    if (aim.node && look.lod === NEAR) {
      const k = aim.node.at * 4, { boxes } = stage.graph;
      round(pen, boxes[k] - 2, boxes[k + 1] - 2, boxes[k + 2] - boxes[k] + 4, boxes[k + 3] - boxes[k + 1] + 4, 10);
      pen.strokeStyle = look.theme.accent;
      pen.lineWidth = 1.5;
      pen.stroke();
    }
    pen.beginPath();
    pen.arc(aim.x, aim.y, 9, 0, 2 * Math.PI);
    pen.strokeStyle = aim.bad ? look.theme.bad : look.theme.accent;
    pen.lineWidth = 2;
    pen.stroke();
    if (!aim.words) return;
    // Beside the node, not over the names of its sockets.
    const aside = aim.node ? (look.width(aim.words, 'small') / 2 + 16) * (wiring.side === 'out' ? -1 : 1) : 0;
    this.tip(aim.words, aim.x + aside, aim.y - 20, aim.bad);
  }

  /** A few words beside a point. @param {string} words @param {number} x @param {number} y @param {boolean} [bad] */
  tip(words, x, y, bad = false) {
    const { look, pen } = this;
    if (look.lod !== NEAR) return;
    this.said = words;
    const width = look.width(words, 'small') + 14;
    const view = this.stage.camera.visible(-6);
    x = Math.max(view.x + width / 2, Math.min(x, view.x + view.w - width / 2));
    round(pen, x - width / 2, y - 10, width, 20, 5);
    pen.fillStyle = look.theme.title;
    pen.fill();
    pen.strokeStyle = bad ? look.theme.bad : look.theme.edge;
    pen.lineWidth = 1;
    pen.stroke();
    look.text(words, x, y + 0.5, 'small', look.theme.text, width, 'center');
  }

  hover() {
    const { stage, look, pen } = this;
    const { hover } = stage;
    if (hover.kind === 'socket') {
      const [x, y] = hover.index < 0 ? [hover.node.pos[0], stage.pointer.y] : slotPos(hover.node, hover.side, hover.index);
      const slot = (hover.side === 'in' ? hover.node.inputs : hover.node.outputs)[hover.index] ?? hover.widget;
      const { hue, shape } = typeLook(look.theme, slot?.type ?? '*');
      pen.beginPath();
      socket(pen, shape, x, hover.index < 0 ? Math.round(y) : y, 7);
      pen.fillStyle = hue;
      pen.fill();
      const words = String(slot?.type ?? '*');
      this.tip(words.length > 60 ? 'COMBO' : words, hover.side === 'in' ? x - 16 - look.width(words, 'small') / 2 : x + 16 + look.width(words, 'small') / 2, y);
    } else if (hover.kind === 'wire') {
      const { routes } = stage;
      const i = hover.stretch;
      if (routes.links[i]?.id !== hover.link) return;
      const link = routes.links[i];
      const no = stage.reason(link.id);
      drawWire(look, [...routes.ends.subarray(i * 4, i * 4 + 4)], no ? look.theme.bad : typeLook(look.theme, link.type).hue, 4);
      if (no) this.tip(stage.app.t(no.key, no.vars), stage.pointer.x, stage.pointer.y - 22, true);
    } else if (hover.kind === 'reroute') {
      const dot = stage.graph.reroutes.get(hover.id);
      if (!dot) return;
      pen.beginPath();
      pen.arc(dot.pos[0], dot.pos[1], 9, 0, 2 * Math.PI);
      pen.strokeStyle = look.theme.accent;
      pen.lineWidth = 2;
      pen.stroke();
    } else if (hover.kind === 'widget' && look.lod === NEAR && hover.widget.kind !== 'markdown') {
      round(pen, hover.box.x, hover.box.y, hover.box.w, hover.box.h, 5);
      pen.strokeStyle = look.theme.faint;
      pen.lineWidth = 1;
      pen.stroke();
    } else if (hover.kind === 'corner') {
      const k = hover.node.at * 4, { boxes } = stage.graph;
      const x = boxes[k + 2], y = boxes[k + 3];
      pen.beginPath();
      pen.moveTo(x - 3, y - 12);
      pen.lineTo(x - 3, y - 3);
      pen.lineTo(x - 12, y - 3);
      pen.strokeStyle = look.theme.dim;
      pen.lineWidth = 2;
      pen.stroke();
    }
  }
}

/** Whether a node loads a model: what it says of it is in the panels, and on the canvas where it matters (see advice.js). @param {Node} node */
function loads(node) {
  return node.widgets.some(({ name }) => LOADED.includes(folderOf(name) ?? ''));
}

/** Whether a hover shows anything. @param {import('./pick.js').Hit} hit */
export function hot(hit) {
  return hit.kind === 'socket' || hit.kind === 'wire' || hit.kind === 'reroute' || hit.kind === 'widget' || hit.kind === 'corner';
}
