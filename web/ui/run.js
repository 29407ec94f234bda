/** The run button, its count and its menu; the progress of the run; and running up to a node. */

import { html } from '../vendor/preact.js';
import { executable } from '../graph/prompt.js';
import { Icon, IconButton } from './icon.js';

/** Runs only what some nodes need: themselves if they are outputs, else the outputs they lead to. @param {any} app @param {any[]} ids */
export function runFrom(app, ids) {
  const doc = app.active.peek();
  const outputs = [...executable({ graph: doc.flow.root, path: '' })].filter(({ node }) => node.def?.isOutput);
  const keys = new Set(ids.map((id) => doc.key(id)));
  const own = outputs.filter(({ place, node }) => [...keys].some((key) => place.path + node.id === key || (place.path + node.id).startsWith(`${key}:`)));
  const down = own.length ? own : outputs.filter(({ place, node }) => place.path === (doc.trail.peek().length ? `${doc.viewKey()}:` : '') && feeds(doc.graph, ids, node.id));
  const targets = down.map(({ place, node }) => place.path + node.id);
  if (!targets.length) return app.ui.toast(app.t('run.noOutput'), { kind: 'error' });
  return app.jobs.run(doc, { targets });
}

/** @param {import('../graph/model.js').Graph} graph @param {any[]} from @param {any} to */
function feeds(graph, from, to) {
  const stack = [...from];
  const seen = new Set(stack);
  while (stack.length) {
    const id = stack.pop();
    if (id === to) return true;
    for (const slot of graph.node(id)?.outputs ?? []) for (const link of slot.links ?? []) {
      const next = graph.links.get(link)?.to;
      if (next !== undefined && !seen.has(next)) seen.add(next), stack.push(next);
    }
  }
  return false;
}

/** @param {{app: any}} props */
export function RunBar({ app }) {
  const { t } = app;
  const doc = app.active.value;
  const count = app.prefs.signal('run.count');
  const running = doc.run.prompt.value !== null;
  const auto = app.prefs.signal('run.auto').value;
  const waiting = app.jobs.count.value;
  const caret = (/** @type {any} */ event) => {
    const box = event.currentTarget.getBoundingClientRect();
    app.ui.menu([
      { label: t('cmd.run'), icon: 'play', key: app.commands.hint('run'), run: () => app.commands.run('run') },
      { label: t('cmd.runFront'), icon: 'skip-forward', key: app.commands.hint('runFront'), run: () => app.commands.run('runFront') },
      { label: t('cmd.runTo'), icon: 'square-mouse-pointer', key: app.commands.hint('runTo'), disabled: !doc.selection.nodes.size, run: () => app.commands.run('runTo') },
      '-',
      ...['off', 'change', 'always'].map((mode) => ({ label: t(`auto.${mode}`), checked: auto === mode, run: () => app.prefs.set('run.auto', mode) })),
      '-',
      { label: t('cmd.sweep'), icon: 'table', key: app.commands.hint('sweep'), run: () => app.commands.run('sweep') },
      { label: t('queue.clear'), icon: 'trash-2', disabled: !waiting, run: () => app.jobs.clearQueue() },
    ], [box.right - 240, box.bottom + 6]);
  };
  return html`<div class="run" role="group" aria-label=${t('run.group')}>
    <input class="run-count" type="number" min="1" max="999" aria-label=${t('run.count')} title=${t('run.count')} value=${count.value}
      onChange=${(/** @type {any} */ event) => app.prefs.set('run.count', Math.max(1, Math.min(999, Number(event.target.value) || 1)))} />
    <button type="button" class="run-button" title=${`${t('cmd.run')}  ${app.commands.hint('run')}`} onClick=${() => app.commands.run('run')}>
      <${Icon} name=${auto === 'off' ? 'play' : 'repeat'} size=${14} /><span>${t('run')}</span>${waiting > (running ? 1 : 0) ? html`<span class="run-waiting">${waiting}</span>` : null}
    </button>
    <button type="button" class="run-caret" aria-label=${t('run.more')} aria-haspopup="menu" onClick=${caret}><${Icon} name="chevron-down" size=${14} /></button>
    <${IconButton} icon="square" class="stop" label=${t('cmd.stop')} hint=${app.commands.hint('stop')} disabled=${!running && !waiting} onClick=${() => app.commands.run('stop')} />
  </div>`;
}

/** The thin line under the bar, and what it says. @param {{app: any}} props */
export function ProgressLine({ app }) {
  const doc = app.active.value;
  const { done, total, label, value, max } = doc.run.progress.value;
  const running = doc.run.prompt.value !== null;
  const part = total ? (done + (max ? value / max : 0)) / total : 0;
  const text = running ? `${label}${max > 1 ? `  ${Math.round(value)} / ${max}` : ''}` : '';
  return html`<div class=${`progress ${running ? 'on' : ''}`} role="progressbar" aria-label=${app.t('run.progress')} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(part * 100)} aria-valuetext=${text}>
    <i style=${{ transform: `scaleX(${running ? Math.max(0.01, part) : 0})` }}></i>
  </div>`;
}

/** Runs again by itself when asked to: after each change, or without end. @param {any} app */
export function listenForAuto(app) {
  let timer = 0;
  const again = () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      const mode = app.prefs.get('run.auto');
      const doc = app.active.peek();
      if (mode === 'off' || doc.run.prompt.peek() !== null || doc.run.pending.peek() || doc.run.errors.peek().length) return;
      void app.jobs.run(doc, { quiet: true });
    }, 400);
  };
  app.socket.on('execution_success', () => app.prefs.get('run.auto') === 'always' && again());
  app.on('edited', () => app.prefs.get('run.auto') === 'change' && again());
  app.prefs.signal('run.auto').subscribe((/** @type {string} */ mode) => mode === 'always' && again());
}
