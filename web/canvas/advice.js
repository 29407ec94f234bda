/** A line at the loader of a model whose samplers are set otherwise than the model was made for: what it is for, and a button that sets them so. */

import { effect, signal } from '../vendor/preact.js';
import { advise } from '../graph/advice.js';
import { setValue } from '../graph/edit.js';
import { NEAR, level } from './detail.js';

/** @typedef {import('../graph/advice.js').Advice} Advice */
/** @typedef {import('../graph/advice.js').File} File */
/** @typedef {import('../graph/advice.js').MadeFor} MadeFor */

const GAP = 5;
const HIGH = 26;
const TIME = 12; // a node that has run has its time on top
const MOST = 20; // lines at a time

/** What is said now, by node in view. @type {import('../vendor/preact.js').Signal<Map<import('../graph/model.js').NodeId, Advice>>} */
export const advice = signal(new Map());

/** @type {Map<string, MadeFor|null|undefined>} by folder and name; undefined while the server is asked */
const known = new Map();
/** What nobody wants to hear again. @type {Set<string>} */
const dismissed = new Set();

/** The words of an advice. @param {any} app @param {Advice} one */
export function wordsOf(app, { made, sizes, settings }) {
  const { steps, cfg, sampler, scheduler, width, height } = made;
  const parts = settings.every(({ name }) => name === 'width' || name === 'height') ? [] : [steps && app.t('advice.steps', { n: steps }), cfg && `cfg ${cfg}`, [sampler, scheduler].filter(Boolean).join(' ')];
  return app.t('advice.made', { what: [...parts, sizes && `${width} × ${height}`].filter(Boolean).join(', ') });
}

/** Sets the samplers as the model was made for: one step to undo. @param {any} app @param {Advice} one */
export function follow(app, one) {
  app.active.peek().edit(app.t('advice.edit'), (/** @type {any} */ e) => one.settings.forEach(({ node, name, value }) => setValue(e, node.id, name, value)));
  app.ui.announce(app.t('advice.done'));
}

/** @param {any} app @param {Advice} one */
function keyOf(app, { node, file }) {
  const doc = app.active.peek();
  return `${doc.id} ${doc.key(node.id)} ${file.folder} ${file.name}`;
}

/** @param {any} app @param {Advice} one */
export function dismiss(app, one) {
  dismissed.add(keyOf(app, one));
  advice.value = new Map([...advice.peek()].filter(([, other]) => other !== one));
}

export class Adviser {
  /** @param {import('./stage.js').Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.asked = 0;
    /** @type {Map<any, {box: HTMLElement, words: string, width: number}>} */ this.lines = new Map();
    this.layer = document.createElement('div');
    this.layer.className = 'advices';
    this.layer.addEventListener('pointerdown', (event) => event.stopPropagation());
    stage.element.append(this.layer);
    const { app } = stage;
    const off = effect(() => {
      const doc = app.active.value;
      void doc.rev.value, doc.trail.value, app.words.table.value, app.prefs.signal('canvas.advice').value;
      this.soon();
    });
    const told = app.on('lineages', () => (known.clear(), this.soon()));
    const shown = advice.subscribe(() => this.place());
    this.stop = () => [off, told, shown].forEach((f) => f());
  }

  soon() {
    this.asked ||= requestAnimationFrame(() => {
      this.asked = 0;
      this.look();
    });
  }

  look() {
    const { stage } = this;
    if (!stage.doc) return;
    const found = stage.app.prefs.get('canvas.advice') === false ? new Map() : advise(stage.place(), (file) => this.facts(file));
    for (const [id, one] of found) if (dismissed.has(keyOf(stage.app, one))) found.delete(id);
    const before = advice.peek();
    if (!found.size && !before.size) return;
    for (const [id, one] of found) if (!before.has(id)) stage.app.ui.announce(wordsOf(stage.app, one));
    advice.value = found;
  }

  /** What a file was made for, asked of the server once. @param {File} file */
  facts({ folder, name }) {
    const key = `${folder}/${name}`;
    if (known.has(key)) return known.get(key);
    known.set(key, undefined);
    const tell = (/** @type {any} */ told) => {
      known.set(key, told?.family || folder === 'loras' ? told?.made_for ?? null : null);
      this.soon();
    };
    this.stage.app.api.json(`/model_facts/${folder}?${new URLSearchParams({ filename: name })}`).then(tell, tell);
  }

  /** The line of an advice, with its words of now. @param {Advice} one */
  line(one) {
    const { app } = this.stage;
    const { id } = one.node;
    const words = wordsOf(app, one);
    const line = this.lines.get(id) ?? this.made(id);
    if (line.words === words) return line;
    const labels = [words, app.t('advice.use'), '×'];
    [...line.box.children].forEach((child, i) => (child.textContent = labels[i]));
    line.box.lastElementChild?.setAttribute('aria-label', app.t('advice.no'));
    line.words = words;
    line.width = line.box.offsetWidth;
    return line;
  }

  /** @param {import('../graph/model.js').NodeId} id */
  made(id) {
    const box = document.createElement('div');
    box.className = 'advice';
    box.setAttribute('role', 'note');
    const act = (/** @type {(app: any, one: Advice) => void} */ run) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.addEventListener('click', () => {
        const one = advice.peek().get(id);
        if (one) run(this.stage.app, one);
        this.stage.focus();
      });
      return button;
    };
    box.append(document.createElement('span'), act(follow), act(dismiss));
    this.layer.append(box);
    const line = { box, words: '', width: 0 };
    this.lines.set(id, line);
    return line;
  }

  /** Puts the lines of the nodes in view under them, or over them where another node is in the way. */
  place() {
    const { stage, lines } = this;
    const said = advice.peek();
    if (!lines.size && !said.size) return;
    const { graph, camera, drag } = stage;
    const view = camera.visible();
    const near = level(camera.scale) === NEAR ? [...said.values()].filter(({ node }) => !drag?.nodes.has(node) && stage.doc.run.stateOf(stage.doc, node.id).state !== 'error' && meets(graph.boxes, node.at, view)).slice(0, MOST) : [];
    for (const [id, { box }] of lines) if (!near.some(({ node }) => node.id === id)) box.remove(), lines.delete(id);
    for (const one of near) {
      const { box, width } = this.line(one);
      const [x, y, , y2] = graph.boxes.subarray(one.node.at * 4, one.node.at * 4 + 4);
      const free = (/** @type {number} */ top) => !graph.list.some((other) => other !== one.node && meets(graph.boxes, other.at, { x, y: top, w: width, h: HIGH }));
      const below = y2 + GAP, above = y - GAP - HIGH - (stage.active.has(one.node.id) ? TIME : 0);
      const at = camera.toScreen(x, free(below) || !free(above) ? below : above);
      const place = `translate(${at.x}px, ${at.y}px) scale(${camera.scale})`;
      if (box.style.transform !== place) box.style.transform = place;
    }
  }
}

/** Whether a node's box meets a part of the graph. @param {Float32Array} boxes @param {number} i @param {import('./camera.js').Rect} part */
function meets(boxes, i, { x, y, w, h }) {
  const k = i * 4;
  return boxes[k] < x + w && boxes[k + 2] > x && boxes[k + 1] < y + h && boxes[k + 3] > y;
}
