/** The page: bar, rail, side panel, canvas, and the layers over them. */

import { effect, html, render, useEffect, useRef } from '../vendor/preact.js';
import { Bar } from './bar.js';
import { Rail, SidePanel } from './panels.js';
import { MenuLayer } from './menu.js';
import { Palette } from './search.js';
import { CommandPalette } from './commandlist.js';
import { Dialogs } from './dialogs.js';
import { Toasts } from './toast.js';
import { ProgressLine, listenForAuto } from './run.js';
import { Icon } from './icon.js';
import { Form } from './lazy.js';
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
  listenForAuto(app);
  effect(() => {
    const rev = app.active.value.rev.value;
    if (rev) app.emit('edited');
  });
}

/** @param {{app: any}} props */
function Shell({ app }) {
  const form = app.formOpen.value;
  return html`<div class=${`shell ${form ? 'as-form' : ''}`}>
    <${Bar} app=${app} />
    <${ProgressLine} app=${app} />
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
    <${MenuLayer} app=${app} /><${Palette} app=${app} /><${CommandPalette} app=${app} /><${Dialogs} app=${app} /><${Toasts} app=${app} />
    <div class="spoken" aria-live="polite">${app.ui.said.value}</div>
    <${Spoken} app=${app} />
  </div>`;
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

/** Files may be dropped on anything that does not take them itself. @param {any} app */
function dropAnywhere(app) {
  addEventListener('dragover', (event) => {
    if (event.dataTransfer?.types.includes('Files')) event.preventDefault();
  });
  addEventListener('drop', (event) => {
    if (event.defaultPrevented || !event.dataTransfer?.files.length) return;
    event.preventDefault();
    void app.ui.dropFiles(event.dataTransfer.files);
  });
}
