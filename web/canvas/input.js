/** One set of pointer listeners for the whole canvas: what was pressed, with which button and keys, decides the tool. */

import { menu, pictureAt, search } from './acts.js';
import { choose } from '../tools/choose.js';
import { pan } from '../tools/pan.js';
import { boxSelect } from '../tools/box.js';
import { Edge } from './edge.js';
import { Touches } from './touch.js';

/** @typedef {import('./stage.js').Stage} Stage */
/** @typedef {import('../tools/tool.js').Press} Press */

const SLOP = 4; // pixels a press may wander and still be a click
const DOUBLE = 350; // milliseconds
const LONG = 450;

export class Input {
  /** @param {Stage} stage @param {HTMLElement} element */
  constructor(stage, element) {
    this.stage = stage;
    this.element = element;
    this.touches = new Touches(stage);
    /** @type {PointerEvent | null} */ this.last = null;
    this.edge = new Edge(stage, () => this.last && stage.tool?.move(this.at(this.last)));
    this.space = false;
    this.spaceUsed = false;
    /** @type {{id: number, screen: {x: number, y: number}, moved: boolean, button: number} | null} */ this.down = null;
    this.click = { time: -1e9, x: 0, y: 0 };
    this.hold = 0;
    this.off = new AbortController();
    const { signal } = this.off;
    const on = (/** @type {string} */ name, /** @type {(event: any) => void} */ run, /** @type {object} */ options = {}) => element.addEventListener(name, run, { signal, ...options });
    on('pointerdown', (event) => this.press(event));
    on('pointermove', (event) => this.move(event));
    on('pointerup', (event) => this.release(event));
    on('pointercancel', (event) => this.lost(event));
    on('pointerleave', () => this.hover(null));
    on('wheel', (event) => this.wheel(event), { passive: false });
    on('contextmenu', (event) => this.mine(event) && event.preventDefault());
    // The mouse events that follow a touch would take the focus from a menu or palette it has just opened.
    on('touchend', (event) => this.mine(event) && event.cancelable && event.preventDefault(), { passive: false });
    on('keydown', (event) => this.key(event));
    on('keyup', (event) => this.keyUp(event));
    on('blur', () => (this.space = false));
    on('drop', (event) => this.dropped(event));
  }

  destroy() {
    this.off.abort();
    clearTimeout(this.hold);
  }

  /** @param {PointerEvent | WheelEvent | DragEvent} event @returns {Press} */
  at(event) {
    const box = this.element.getBoundingClientRect();
    const screen = { x: event.clientX - box.left, y: event.clientY - box.top };
    return {
      screen,
      at: this.stage.camera.toGraph(screen.x, screen.y),
      shift: event.shiftKey, ctrl: event.ctrlKey || event.metaKey, alt: event.altKey,
      touch: 'pointerType' in event && event.pointerType === 'touch',
      button: this.down?.button ?? event.button, time: event.timeStamp, still: !this.down?.moved,
    };
  }

  /** @param {PointerEvent} event */
  press(event) {
    const { stage } = this;
    if (!this.mine(event)) return;
    stage.touch = event.pointerType === 'touch';
    stage.editor.close();
    stage.focus();
    this.capture(event.pointerId);
    if (stage.touch && this.touches.down(event.pointerId, this.at(event))) return this.drop();
    if (this.down) return;
    this.down = { id: event.pointerId, screen: { x: 0, y: 0 }, moved: false, button: event.button };
    const p = this.at(event);
    this.down.screen = p.screen;
    stage.pointer = p.at;
    if (stage.tool) return; // a floating wire: it ends when the pointer goes up
    if (event.button === 1 || (event.button === 0 && this.space)) {
      this.spaceUsed = true;
      stage.tool = pan(stage, p);
      event.preventDefault();
    } else {
      stage.tool = choose(stage, p, stage.pick(p.at.x, p.at.y), this.isDouble(p));
    }
    if (stage.touch) this.hold = window.setTimeout(() => this.longPress(p), LONG);
    stage.setCursor(stage.tool?.cursor ?? '');
    stage.mark('over', 'press');
  }

  /** Whether an event is the canvas's and not that of something laid over it. @param {Event} event */
  mine(event) {
    return event.target === this.element || event.target === this.stage.surface || event.target === this.stage.grip.element;
  }

  /** Keeps the pointer when it leaves the canvas. @param {number} id */
  capture(id) {
    try {
      this.element.setPointerCapture(id);
    } catch {
      // The pointer is already gone: it was let go while the event was on its way.
    }
  }

  /** @param {Press} p */
  isDouble(p) {
    const { click } = this;
    const double = p.time - click.time < DOUBLE && Math.hypot(p.screen.x - click.x, p.screen.y - click.y) < (p.touch ? 24 : 8);
    this.click = { time: double ? -1e9 : p.time, x: p.screen.x, y: p.screen.y };
    return double;
  }

  /** A finger held still: drag from here selects, letting go opens the menu. @param {Press} p */
  longPress(p) {
    const { stage } = this;
    if (!this.down || this.down.moved) return;
    const hit = stage.pick(p.at.x, p.at.y);
    if (hit.kind === 'media' && pictureAt(stage, hit.node, p.at).last) return; // held, it is compared with the one before
    stage.tool?.cancel();
    const tool = boxSelect(stage, p);
    stage.tool = { ...tool, end: (q) => (q.still ? menu(stage, hit, p) : tool.end(q)) };
    navigator.vibrate?.(10);
    stage.mark('over', 'hold');
  }

  /** @param {PointerEvent} event */
  move(event) {
    const { stage, down } = this;
    if (event.pointerType === 'touch' && this.touches.move(event.pointerId, this.at(event))) return;
    if (down && event.pointerId !== down.id) return;
    if (down && !down.moved) {
      const p = this.at(event);
      if (Math.hypot(p.screen.x - down.screen.x, p.screen.y - down.screen.y) < (p.touch ? 8 : SLOP)) return;
      down.moved = true;
      clearTimeout(this.hold);
    }
    const p = this.at(event);
    stage.pointer = p.at;
    stage.tool?.sense?.(p);
    if (stage.tool) {
      this.last = event;
      this.edge.move(p.screen);
      stage.frames.once('tool', () => stage.tool?.move(this.at(event)));
    }
    if (!stage.tool && !down) stage.frames.once('hover', () => this.hover(p));
  }

  /** @param {Press | null} p */
  hover(p) {
    const { stage } = this;
    if (stage.tool || !stage.doc) return;
    const hit = p ? stage.pick(p.at.x, p.at.y) : /** @type {import('./pick.js').Hit} */ ({ kind: 'canvas' });
    stage.setCursor(this.space ? 'grab' : CURSORS[hit.kind] ?? '');
    stage.hovered(hit, p);
  }

  /** @param {PointerEvent} event */
  release(event) {
    const { stage, down } = this;
    clearTimeout(this.hold);
    if (event.pointerType === 'touch' && this.touches.up(event.pointerId, this.at(event))) {
      this.down = null;
      return;
    }
    if (!down || event.pointerId !== down.id) return;
    this.edge.stop();
    this.last = null;
    const p = this.at(event);
    stage.pointer = p.at;
    this.flush();
    const { tool } = stage;
    if (tool && !p.still) tool.move(p);
    this.down = null;
    const floats = tool ? this.finish(tool, p) : false;
    if (!floats && stage.tool === tool) stage.tool = null;
    stage.setCursor(stage.tool?.cursor ?? '');
    stage.mark('over', 'release');
  }

  /** @param {import('../tools/tool.js').Tool & {floats?: boolean}} tool @param {Press} p */
  finish(tool, p) {
    tool.end(p);
    return Boolean(tool.floats);
  }

  /** Carries out what waits for the next frame, so that a quick release loses nothing. */
  flush() {
    const work = this.stage.frames.before.get('tool');
    this.stage.frames.before.delete('tool');
    work?.();
  }

  /** @param {PointerEvent} event */
  lost(event) {
    this.touches.lost(event.pointerId);
    this.drop();
  }

  /** Gives the tool up, as Escape does. @returns {boolean} whether there was one */
  drop() {
    const { stage } = this;
    clearTimeout(this.hold);
    this.edge.stop();
    this.last = null;
    this.down = null;
    const { tool } = stage;
    stage.tool = null;
    stage.frames.before.delete('tool');
    tool?.cancel();
    if (tool) stage.mark('over', 'cancel');
    return Boolean(tool);
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    if (!this.mine(event)) return; // a list or a text scrolls
    event.preventDefault();
    const { stage } = this;
    const p = this.at(event);
    const unit = event.deltaMode === 1 ? 32 : event.deltaMode === 2 ? 400 : 1;
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (event.shiftKey || sideways) {
      stage.camera.pan(-(sideways ? event.deltaX : event.deltaY) * unit, sideways ? -event.deltaY * unit : 0);
      stage.moved('pan');
    } else {
      // A pinch on a touch pad comes as Ctrl+wheel with small steps.
      stage.camera.zoom(Math.exp(-event.deltaY * unit * (event.ctrlKey ? 0.01 : 0.0016) * (stage.app.prefs?.get('canvas.zoomSpeed') || 1)), p.screen.x, p.screen.y);
      stage.moved('zoom');
    }
    if (stage.tool) stage.tool.move(this.at(event));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.target !== this.element) return;
    this.click.time = -1e9; // a key between two clicks: no double click
    if (event.key === 'Escape' && this.drop()) return event.stopPropagation();
    if (event.key !== ' ' || event.ctrlKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (!this.space) this.spaceUsed = false;
    this.space = true;
    if (!this.stage.tool) this.stage.setCursor('grab');
  }

  /** A tap on the space bar opens the search palette; held, it pans. @param {KeyboardEvent} event */
  keyUp(event) {
    if (event.key !== ' ' || !this.space) return;
    this.space = false;
    this.stage.setCursor('');
    if (!this.spaceUsed && event.target === this.element) search(this.stage);
  }

  /** Files go to the node under them; other things dropped are the page's. @param {DragEvent} event */
  dropped(event) {
    const files = [...(event.dataTransfer?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    const p = this.at(event);
    const hit = this.stage.pick(p.at.x, p.at.y);
    this.stage.app.ui.dropFiles(files, { node: 'node' in hit ? hit.node.id : undefined, at: [p.at.x, p.at.y] });
  }
}

/** @type {Record<string, string>} */
const CURSORS = { socket: 'crosshair', io: 'crosshair', corner: 'nwse-resize', groupcorner: 'nwse-resize', widget: 'pointer', media: 'zoom-in', wire: 'pointer', fold: 'pointer' };
