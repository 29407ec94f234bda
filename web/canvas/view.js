/** Mounts the canvas: two layers, the minimap and the editor of widgets, tied to a document. */

import { Kinship } from '../graph/kin.js';
import { fit, reveal, screenOf } from './acts.js';
import { addKeys } from './keys.js';
import { Scene } from './draw.js';
import { Frames } from './frame.js';
import { Input } from './input.js';
import { Mini } from './mini.js';
import { Over } from './over.js';
import { probe } from './probe.js';
import { Stage } from './stage.js';
import { Toolbox } from './toolbox.js';
import { readTheme } from './theme.js';

/** @typedef {import('../graph/model.js').NodeId} NodeId */

const MOST_PIXELS = 12e6;

/** @param {HTMLElement} element @param {string} name */
function layer(element, name) {
  const canvas = document.createElement('canvas');
  canvas.className = name;
  canvas.setAttribute('aria-hidden', 'true');
  element.append(canvas);
  return canvas;
}

/** @param {HTMLElement} element @param {any} app */
export function mountCanvas(element, app) {
  element.tabIndex = 0;
  element.classList.add('graph-canvas');
  element.setAttribute('role', 'application');
  if (!element.hasAttribute('aria-label')) element.setAttribute('aria-label', app.t('canvas.label'));
  const stage = new Stage(element, app);
  const scene = new Scene(stage, layer(element, 'layer scene'));
  const over = new Over(stage, layer(element, 'layer over'));
  element.append(stage.grip.element, stage.editor.layer);
  const mini = new Mini(stage, layer(element, 'minimap'));
  const toolbox = new Toolbox(stage);
  element.append(toolbox.bar, toolbox.corner);
  stage.surface = over.canvas;
  stage.frames = new Frames({
    scene: (reasons) => stage.doc && scene.draw(reasons),
    over: () => {
      if (!stage.doc) return;
      over.draw();
      toolbox.place();
      stage.adviser?.place();
    },
    mini: () => stage.doc && mini.draw(),
  });
  const input = new Input(stage, element);
  const sizes = new ResizeObserver(() => resize(stage, [scene.canvas, over.canvas]));
  sizes.observe(element);
  resize(stage, [scene.canvas, over.canvas]);
  const off = [...watchApp(stage, mini, toolbox), addKeys(stage)];
  /** @type {(() => void)[]} */ let unbind = [];

  return {
    stage,
    counters: probe(stage),
    setDoc(/** @type {any} */ doc) {
      unbind.forEach((f) => f());
      input.drop();
      stage.editor.close();
      stage.doc = doc;
      unbind = doc ? watchDoc(stage, mini) : [];
      if (doc) show(stage, mini);
    },
    fit: (/** @type {Iterable<NodeId>} */ ids) => fit(stage, ids),
    zoomTo(/** @type {number} */ scale) {
      const { camera } = stage;
      camera.zoom(scale / camera.scale, camera.width / 2, camera.height / 2);
      stage.moved('jump');
    },
    centerOn: (/** @type {NodeId} */ id) => reveal(stage, id),
    worldAt([x, y] = [0, 0]) {
      const at = stage.camera.toGraph(x, y);
      return [at.x, at.y];
    },
    screenOf: (/** @type {Parameters<typeof screenOf>[1]} */ what) => screenOf(stage, what),
    openWidget(/** @type {NodeId} */ id, /** @type {string} */ name) {
      const node = stage.graph.node(id);
      const widget = node?.widgets.find((w) => w.name === name);
      if (node && widget) stage.openWidget(node, widget);
    },
    get cursor() {
      return [stage.pointer.x, stage.pointer.y];
    },
    get size() {
      return [stage.camera.width, stage.camera.height];
    },
    focus: () => stage.focus(),
    destroy() {
      unbind.forEach((f) => f());
      off.forEach((f) => f());
      input.destroy();
      sizes.disconnect();
      stage.pictures.clear();
      element.replaceChildren();
    },
  };
}

/** @param {Stage} stage @param {HTMLCanvasElement[]} canvases */
function resize(stage, canvases) {
  const { camera, element } = stage;
  const width = element.clientWidth, height = element.clientHeight;
  // On a very large screen a little less sharp is better than slow.
  const dpr = Math.min(devicePixelRatio || 1, 3, Math.max(1, Math.sqrt(MOST_PIXELS / Math.max(1, width * height))));
  if (width === camera.width && height === camera.height && dpr === camera.dpr) return;
  const first = !camera.width;
  stage.coarse = false;
  camera.width = width;
  camera.height = height;
  camera.dpr = dpr;
  for (const canvas of canvases) {
    canvas.width = Math.round(width * dpr);
    canvas.height = Math.round(height * dpr);
  }
  if (!stage.doc) return;
  if (first && stage.graph.count) fitFirst(stage);
  // A canvas that was given a size is blank: draw at once, not in the next frame.
  stage.mark('scene', 'resize');
  stage.mark('over', 'resize');
  stage.mark('mini', 'resize');
  stage.frames.run();
}

/** A document without a camera of its own is shown whole. @param {Stage} stage */
function fitFirst(stage) {
  if (stage.doc.framed) stage.camera.load(stage.doc.camera);
  else fit(stage);
}

/** Another document or graph is in view. @param {Stage} stage @param {Mini} mini */
function show(stage, mini) {
  stage.editor.close();
  stage.grip.over(null);
  stage.media.reset();
  stage.drag = stage.wiring = null;
  stage.hover = { kind: 'canvas' };
  stage.routes.stale = stage.clashing = mini.stale = true;
  stage.camera.load(stage.doc.camera);
  if (stage.camera.width && stage.graph.count) fitFirst(stage);
  activeNodes(stage, null);
  for (const node of stage.graph.list) if (stage.doc.run?.preview?.(stage.doc.key(node.id))) stage.media.refresh(node.id);
  stage.mark('scene', 'view');
  stage.mark('over', 'view');
  stage.mark('mini', 'view');
}

/** @param {Stage} stage @param {Mini} mini @returns {(() => void)[]} */
function watchDoc(stage, mini) {
  const { doc } = stage;
  return [
    doc.on('change', (/** @type {{graph: string, changes: {op: string, id?: any, set?: Record<string, any>}[]}} */ { graph, changes }) => {
      if (graph !== doc.graph.id) return;
      changed(stage, mini, changes);
    }),
    doc.on('select', () => {
      stage.mark('scene', 'select');
      stage.mark('over', 'select');
    }),
    doc.on('camera', () => {
      const { camera } = stage;
      if (doc.camera.x === camera.x && doc.camera.y === camera.y && doc.camera.scale === camera.scale) return;
      camera.load(doc.camera);
      stage.mark('scene', 'jump');
      stage.mark('over', 'jump');
      stage.mark('mini', 'jump');
      stage.editor.place();
    }),
    doc.on('view', () => show(stage, mini)),
    doc.on('run', (/** @type {{ids: Set<NodeId> | null}} */ { ids }) => {
      if (activeNodes(stage, ids)) stage.mark('over', 'run');
    }),
    doc.on('media', (/** @type {{id: NodeId}} */ { id }) => stage.frames.once(`media ${id}`, () => stage.media.refresh(id))),
  ];
}

/** @param {Stage} stage @param {Mini} mini @param {{op: string, id?: any, set?: Record<string, any>}[]} changes */
function changed(stage, mini, changes) {
  let moved = false, whole = false;
  /** @type {Set<import('../graph/model.js').Node>} */ const shifted = new Set();
  for (const change of changes) {
    const node = change.op === 'node=' && shifts(change.set ?? {}) ? stage.graph.node(change.id) : undefined;
    if (change.op === 'value') stage.media.forget(change.id);
    else moved = true;
    if (node) shifted.add(node);
    else if (change.op !== 'value') stage.routes.stale = true;
    if (concernsFiles(stage, change)) stage.clashing = whole = true;
    whole ||= !spoils(stage, change);
    if (change.op === 'node-') stage.active.delete(change.id);
  }
  if (moved) {
    if (!stage.routes.stale && shifted.size) stage.routes.follow(shifted);
    mini.edited();
    for (const node of stage.media.trays) if (node.at < 0) stage.media.trays.delete(node);
    stage.editor.place();
  }
  if (stage.active.size || stage.hover.kind !== 'canvas') stage.mark('over', 'edit');
  stage.hover = { kind: 'canvas' };
  stage.mark('scene', whole ? 'edit' : 'part');
}

/** Whether a change of a node leaves its sockets as they are, but for their place. @param {Record<string, any>} set */
function shifts(set) {
  return Object.keys(set).every((key) => ['pos', 'size', 'z', 'flags', 'title', 'color', 'bgcolor', 'mode'].includes(key));
}

/** Whether a change touches a node and what is at it alone, which is then painted by itself. @param {Stage} stage @param {{op: string, id?: any, set?: Record<string, any>}} change */
function spoils(stage, { op, id, set }) {
  const node = op === 'value' || (op === 'node=' && shifts(set ?? {})) ? stage.graph.node(id) : undefined;
  if (!node || node.at < 0 || stage.media.trays.has(node) || node.widgets.some((widget) => widget.options.image)) return false;
  stage.spoiled.add(node);
  return true;
}

/** Whether a change may alter which files meet at a wire: it does not if it only moves, paints or counts. @param {Stage} stage @param {{op: string, id?: any, name?: string, set?: Record<string, any>}} change */
function concernsFiles(stage, { op, id, name, set }) {
  if (op.startsWith('group') || op.startsWith('reroute')) return false;
  if (op === 'node=') return 'mode' in (set ?? {}) || 'values' in (set ?? {});
  if (op !== 'value') return true;
  const node = stage.graph.node(id);
  return !node?.def || node.def.dynamic || node.widgets.some((widget) => widget.name === name && widget.kind === 'combo');
}

/** Keeps the set of nodes whose run has something to show; false when nothing is different. @param {Stage} stage @param {Set<NodeId> | null} ids null = all */
function activeNodes(stage, ids) {
  const { doc, states } = stage;
  let different = false;
  if (ids === null) {
    stage.active.clear();
    states.clear();
    different = true;
  }
  if (!doc.run) return different;
  for (const id of ids ?? stage.graph.nodes.keys()) {
    const now = doc.run.stateOf(doc, id);
    const key = `${now.state} ${now.value} ${now.max} ${now.ms} ${now.error ?? ''} ${doc.run.notes.get(doc.key(id)) ?? ''}`;
    if (states.get(id) === key) continue;
    states.set(id, key);
    different = true;
    if (now.state === 'idle' || now.state === 'wait') stage.active.delete(id);
    else stage.active.add(id);
  }
  return different;
}

/** @param {Stage} stage @param {Mini} mini @param {Toolbox} toolbox @returns {(() => void)[]} */
function watchApp(stage, mini, toolbox) {
  const { app } = stage;
  const redraw = () => {
    stage.theme = readTheme(document.documentElement);
    mini.stale = true;
    stage.mark('scene', 'theme');
    stage.mark('over', 'theme');
    stage.mark('mini', 'theme');
  };
  const media = ['(prefers-color-scheme: dark)', '(forced-colors: active)'].map((query) => matchMedia(query));
  media.forEach((m) => m.addEventListener('change', redraw));
  const minimap = app.prefs?.signal?.('canvas.minimap');
  const off = minimap?.subscribe?.((/** @type {any} */ on) => mini.show(on !== false));
  return [
    app.on?.('theme', redraw) ?? (() => {}),
    app.on?.('lineages', () => {
      stage.kinship = new Kinship(app.lineages);
      stage.clashing = true;
      const before = stage.clashes.size;
      if (stage.doc) stage.fresh();
      if (before || stage.clashes.size) stage.mark('scene', 'lineages');
    }) ?? (() => {}),
    app.on?.('defs', () => {
      stage.routes.stale = true;
      stage.media.forget(null);
      stage.mark('scene', 'defs');
    }) ?? (() => {}),
    () => media.forEach((m) => m.removeEventListener('change', redraw)),
    off ?? (() => {}),
    app.words?.table?.subscribe?.(() => {
      toolbox.fill();
      stage.mark('scene', 'words');
    }) ?? (() => {}),
  ];
}
