/** What the canvas is made of, shared by drawing, picking and the tools. It holds no document data, only what is on the screen. */

import { Kinship } from '../graph/kin.js';
import { placeOf } from '../graph/prompt.js';
import { geometry } from '../graph/shape.js';
import { why } from '../graph/types.js';
import { Editor } from '../widget/editor.js';
import { kindOf } from '../widget/kinds.js';
import { Camera } from './camera.js';
import { Frames } from './frame.js';
import { Grip } from './grip.js';
import { Counters } from './look.js';
import { Media } from './media.js';
import { Pictures } from './picture.js';
import { hot } from './over.js';
import { pick } from './pick.js';
import { Routes } from './routes.js';
import { canvasMeasure, Texts } from './text.js';
import { readTheme } from './theme.js';

/** @typedef {import('../graph/model.js').Node} Node */
/** @typedef {import('../graph/model.js').NodeId} NodeId */
/** @typedef {import('./frame.js').Layer} Layer */
/** @typedef {import('./pick.js').Hit} Hit */

/**
 * Things being moved: drawn on the overlay at an offset, left out of the scene.
 * @typedef {object} Drag
 * @property {Set<Node>} nodes
 * @property {Set<number>} reroutes
 * @property {Set<number>} groups
 * @property {number} dx
 * @property {number} dy
 */

/**
 * A wire being drawn. `ends` are its fixed ends; it looks for a socket on the other side.
 * @typedef {object} Wiring
 * @property {'in' | 'out'} side side of the fixed ends
 * @property {{node: NodeId, slot: number, widget?: string, x: number, y: number, type: string}[]} ends
 * @property {(node: Node, side: 'in' | 'out', slot: {type: string}) => boolean} fits
 * @property {{x: number, y: number, node?: Node, words?: string, bad?: boolean, to: any} | null} aim where it would end now; bad: it fits and yet cannot work
 * @property {Set<number>} lifted links that follow the pointer, left out of the scene
 */

export class Stage {
  /** @param {HTMLElement} element @param {any} app */
  constructor(element, app) {
    this.element = element;
    this.app = app;
    /** @type {any} */ this.doc = null;
    this.camera = new Camera();
    this.counters = new Counters();
    this.theme = readTheme(document.documentElement);
    this.texts = new Texts(canvasMeasure());
    this.routes = new Routes();
    this.kinship = new Kinship({});
    /** links whose types fit and which cannot work all the same @type {Map<number, import('../graph/types.js').Reason>} */ this.clashes = new Map();
    this.clashing = true; // `clashes` is out of date
    /** nodes whose change spoils a part of the scene @type {Set<Node>} */ this.spoiled = new Set();
    this.later = 0; // draws that wait for a timer
    this.coarse = false; // the scene has one pixel a CSS pixel while a gesture runs
    this.media = new Media(this);
    this.pictures = new Pictures(() => this.mark('scene', 'picture'));
    this.editor = new Editor(this);
    this.grip = new Grip(this);
    /** @type {Hit} */ this.hover = { kind: 'canvas' };
    /** @type {Drag | null} */ this.drag = null;
    /** @type {Wiring | null} */ this.wiring = null;
    /** @type {import('../tools/tool.js').Tool | null} */ this.tool = null;
    /** @type {Set<NodeId>} nodes with a run state to draw */ this.active = new Set();
    /** @type {Map<NodeId, string>} what was last drawn of each run state */ this.states = new Map();
    /** @type {Record<string, Record<number, {x: number, y: number, scale: number}>>} kept views by document */ this.places = {};
    this.pointer = { x: 0, y: 0 };
    /** what stands beside nodes as elements of the page, once it is fetched @type {{place(): void}|null} */ this.adviser = null;
    this.touch = false;
    /** taps add to the selection */
    this.multi = false;
    /** @type {HTMLElement} the canvas that takes the pointer */
    this.surface = element;
    /** @type {Frames} */ this.frames = new Frames({ scene() {}, over() {}, mini() {} });
  }

  /** @returns {import('../graph/model.js').Graph} */
  get graph() {
    return this.doc.graph;
  }

  /** @param {Layer} layer @param {string} reason */
  mark(layer, reason) {
    this.frames.mark(layer, reason);
  }

  /** The camera has moved: tell the document, redraw. @param {'pan' | 'zoom' | 'jump'} how */
  moved(how) {
    const { x, y, scale } = this.camera;
    this.doc.setCamera({ x, y, scale });
    this.mark('scene', how);
    this.mark('over', how);
    this.mark('mini', how);
    this.editor.place();
    this.grip.over(null);
  }

  /** @param {number} x graph units @param {number} y @returns {Hit} */
  pick(x, y) {
    this.fresh();
    const { graph, routes, media } = this;
    return pick({ graph, routes, scale: this.camera.scale, reach: this.touch ? 22 : 10, media: (node) => media.box(node), trays: media.trays }, x, y);
  }

  /** The pointer rests on something. @param {Hit} hit @param {import('../tools/tool.js').Press | null} p */
  hovered(hit, p) {
    const old = this.hover;
    this.hover = hit;
    this.grip.over(p && !p.touch && hit.kind === 'media' ? this.media.itemAt(hit.node, p.at.x, p.at.y) : null);
    if (same(old, hit)) return;
    this.element.title = p && this.hintOf(hit) || '';
    if (hot(old) || hot(hit)) this.mark('over', 'hover');
  }

  /** What a tooltip says. @param {Hit} hit @returns {string} */
  hintOf(hit) {
    if (hit.kind === 'widget') return hit.widget.tooltip ?? '';
    if (hit.kind !== 'socket' || hit.index < 0) return '';
    const { def } = hit.node;
    const slot = hit.side === 'in' ? hit.node.inputs[hit.index] : hit.node.outputs[hit.index];
    const inputs = /** @type {any} */ (def)?.inputs;
    return (hit.side === 'in' ? inputs?.find?.((/** @type {any} */ i) => i.name === slot?.name)?.tooltip : /** @type {any} */ (def)?.outputs?.[hit.index]?.tooltip) ?? '';
  }

  /** Brings the wires up to date with the graph. */
  fresh() {
    if (this.routes.stale) this.routes.rebuild(this.graph);
    if (!this.clashing) return;
    this.clashing = false;
    this.clashes = this.kinship.clashes(this.place());
  }

  /** The graph in view, as seen from the instances entered. */
  place() {
    return placeOf(this.doc.flow, this.doc.trail.peek());
  }

  /** Why a link of the graph in view cannot work, or null. @param {number} id @returns {import('../graph/types.js').Reason | null} */
  reason(id) {
    this.fresh();
    const link = this.graph.links.get(id);
    const known = this.clashes.get(id);
    if (known || !link || !this.routes.bad.has(id)) return known ?? null;
    return why(this.graph, { node: link.from, slot: link.fromSlot }, { node: link.to, slot: link.toSlot });
  }

  /** @param {Node} node @param {import('../graph/model.js').Widget} widget @returns {import('./camera.js').Rect | null} */
  widgetBox(node, widget) {
    const i = node.widgets.findIndex((w) => w.name === widget.name);
    if (i < 0 || node.flags.collapsed) return null;
    const shape = geometry(node);
    return { x: node.pos[0] + 10, y: node.pos[1] + shape.rows[i * 2], w: shape.width - 20, h: shape.rows[i * 2 + 1] };
  }

  /** Opens the editor of a widget, as a click would. @param {Node} node @param {import('../graph/model.js').Widget} widget */
  openWidget(node, widget) {
    const box = this.widgetBox(node, widget);
    const slot = node.inputs.find((s) => s.widget?.name === widget.name);
    if (!box || (slot?.link !== null && slot?.link !== undefined)) return;
    kindOf(widget.kind).open?.(this, { node, widget, box });
  }

  /** The value a widget had in the last run, if it is known. @param {Node} node @param {string} name */
  lastSent(node, name) {
    return this.doc.run?.sent?.(this.doc.key(node.id))?.[name];
  }

  focus() {
    this.element.focus({ preventScroll: true });
  }

  /** @param {string} cursor */
  setCursor(cursor) {
    if (this.element.style.cursor !== cursor) this.element.style.cursor = cursor;
  }
}

/** Whether two hits show the same. @param {Hit} a @param {Hit} b */
function same(a, b) {
  if (a.kind !== b.kind) return false;
  if (a.kind === 'wire' && b.kind === 'wire') return a.stretch === b.stretch;
  if (a.kind === 'socket' && b.kind === 'socket') return a.node === b.node && a.side === b.side && a.index === b.index && a.widget === b.widget;
  if (a.kind === 'widget' && b.kind === 'widget') return a.node === b.node && a.widget === b.widget;
  if ('node' in a && 'node' in b) return a.node === b.node;
  return /** @type {any} */ (a).id === /** @type {any} */ (b).id;
}
