/** The page: bar, rail, side panel, canvas, and the layers over them. */

import { effect, html, render, useEffect, useRef } from '../vendor/preact.js';
import { Bar } from './bar.js';
import { Rail, SidePanel } from './panels.js';
import { MenuLayer } from './menu.js';
import { Dialogs } from './dialogs.js';
import { Toasts } from './toast.js';
import { listenForAuto } from './run.js';
import { Icon } from './icon.js';
import { CommandPalette, Form, Palette } from './lazy.js';
import { mountCanvas } from '../canvas/view.js';

/** @param {any} app */
export async function mountShell(app) {
  const root = /** @type {HTMLElement} */ (document.getElementById('app'));
  render(html`<${Shell} app=${app} />`, root);
  const element = /** @type {HTMLElement} */ (document.getElementById('canvas'));
  app.canvas = mountCanvas(element, app);
  app.canvas.setDoc(app.active.peek());
  if (app.test) (await import('../canvas/probe.js')).expose(app);
  dropAnywhere(app);
  whenIdle(() => void import('./assist.js').then(({ listenToPrompts }) => listenToPrompts(app)));
  whenIdle(() => void import('../canvas/advice.js').then(({ Adviser }) => (app.canvas.stage.adviser = new Adviser(app.canvas.stage))));
  listenForAuto(app);
  effect(() => {
    const rev = app.active.value.rev.value;
    if (rev && !app.jobs.advancing) app.emit('edited');
  });
}

/** @param {{app: any}} props */
function Shell({ app }) {
  const form = app.formOpen.value;
  return html`<div class=${`shell ${form ? 'as-form' : ''}`}>
    <${Bar} app=${app} />
    <div class="work">
      <${Rail} app=${app} />
      <${SidePanel} app=${app} />
      <main class="stage" aria-label=${app.t('canvas.label')}>
        <${CanvasHost} />
        <${Crumbs} app=${app} />
        <${EmptyHint} app=${app} />
      </main>
      ${form ? html`<${Form} app=${app} />` : null}
    </div>
    <${MenuLayer} app=${app} /><${Palettes} app=${app} /><${Dialogs} app=${app} /><${Toasts} app=${app} />
    <div class="spoken" aria-live="polite">${app.ui.said.value}</div>
    <${Spoken} app=${app} />
  </div>`;
}

/** Fetched when first opened; by then the browser has them, since what is helpful while writing comes with them. @param {{app: any}} props */
function Palettes({ app }) {
  return html`${app.ui.paletteOpen.value ? html`<${Palette} app=${app} />` : null}${app.ui.commandsOpen.value ? html`<${CommandPalette} app=${app} />` : null}`;
}

/** @param {() => void} fn */
function whenIdle(fn) {
  if ('requestIdleCallback' in globalThis) requestIdleCallback(fn, { timeout: 400 });
  else setTimeout(fn, 200);
}

/** The canvas puts its own things here; it is rendered once. */
function CanvasHost() {
  const ref = useRef(/** @type {any} */ (null));
  const vnode = useRef(html`<div id="canvas" ref=${ref}></div>`);
  return vnode.current;
}

/** Where one is among nested subgraphs. @param {{app: any}} props */
function Crumbs({ app }) {
  const doc = app.active.value;
  const trail = doc.trail.value;
  if (!trail.length) return null;
  let graph = doc.flow.root;
  const steps = trail.map((/** @type {any} */ id) => {
    const node = graph.node(id);
    graph = doc.flow.graph(node.type);
    return node.label;
  });
  return html`<nav class="crumbs" aria-label=${app.t('crumbs.label')}>
    <button type="button" onClick=${() => doc.show([])}>${doc.name.value}</button>
    ${steps.map((/** @type {string} */ label, /** @type {number} */ i) => html`<${Icon} name="chevron-right" size=${12} /><button type="button" aria-current=${i === steps.length - 1 ? 'page' : undefined} onClick=${() => doc.show(trail.slice(0, i + 1))}>${label}</button>`)}
  </nav>`;
}

/** What an empty canvas says. @param {{app: any}} props */
function EmptyHint({ app }) {
  const doc = app.active.value;
  void doc.rev.value;
  void doc.trail.value;
  if (!app.ready.value || doc.graph.nodes.size) return null;
  return html`<div class="empty">
    <p>${app.t('empty.text')}</p>
    <div class="empty-acts">
      <button type="button" class="button" onClick=${() => app.ui.palette({})}><${Icon} name="plus" />${app.t('menu.add')}</button>
      <button type="button" class="button" onClick=${() => app.prefs.set('panel.open', 'workflows')}><${Icon} name="workflow" />${app.t('empty.templates')}</button>
      <button type="button" class="button" onClick=${() => app.commands.run('open')}><${Icon} name="folder-open" />${app.t('cmd.open')}</button>
    </div>
  </div>`;
}

/** Tells a screen reader how the run goes, now and then. @param {{app: any}} props */
function Spoken({ app }) {
  const last = useRef({ time: 0, label: '' });
  const doc = app.active.value;
  const { label, value, max } = doc.run.progress.value;
  const running = doc.run.prompt.value !== null;
  const was = useRef(false);
  useEffect(() => {
    const now = performance.now();
    if (was.current && !running) app.ui.announce(app.t(doc.run.errors.peek().length ? 'say.failed' : 'say.finished'));
    else if (running && (label !== last.current.label || now - last.current.time > 5000)) {
      last.current = { time: now, label };
      app.ui.announce(max > 1 ? app.t('say.step', { label, value: Math.round(value), max }) : app.t('say.running', { label }));
    }
    was.current = running;
  });
  return null;
}

const OURS = ['application/x-latent-loom-node', 'application/x-latent-loom-file'];

/** Files may be dropped on anything that does not take them itself; node types and pictures of ours, on the canvas. @param {any} app */
function dropAnywhere(app) {
  addEventListener('dragover', (event) => {
    if (event.dataTransfer?.types.some((type) => type === 'Files' || OURS.includes(type))) event.preventDefault();
  });
  addEventListener('drop', (event) => {
    if (event.defaultPrevented || !event.dataTransfer) return;
    const [type, file] = OURS.map((kind) => event.dataTransfer?.getData(kind));
    const over = /** @type {Element} */ (event.target).closest?.('#canvas')?.getBoundingClientRect();
    const at = over && app.canvas.worldAt([event.clientX - over.left, event.clientY - over.top]);
    if (event.dataTransfer.files.length) event.preventDefault(), void app.ui.dropFiles(event.dataTransfer.files);
    else if (type && at) event.preventDefault(), void import('./search.js').then(({ addAt }) => addAt(app, type, [at[0] - 100, at[1]]));
    else if (file && at) event.preventDefault(), void import('./gallery.js').then(({ toInput }) => toInput(app, JSON.parse(file), nodeAt(app, at), at));
  });
}

/** The topmost node at a place. @param {any} app @param {[number, number]} at */
function nodeAt(app, [x, y]) {
  const { graph } = app.active.peek();
  const hits = graph.list.filter((/** @type {any} */ node) => {
    const [x0, y0, x1, y1] = graph.boxes.subarray(node.at * 4, node.at * 4 + 4);
    return x >= x0 && x <= x1 && y >= y0 && y <= y1 && node.widgets.some((/** @type {any} */ widget) => widget.options.image);
  });
  return hits.sort((/** @type {any} */ a, /** @type {any} */ b) => b.z - a.z)[0]?.id;
}
