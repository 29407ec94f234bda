/** Memory of the server, and where the last run spent its time. */

import { html, useEffect, useState } from '../vendor/preact.js';
import { Modal } from './dialogs.js';
import { bytes, duration } from './media.js';
import { nodeLabel, show } from './errors.js';

/** @param {{app: any, done: (value?: any) => void}} props */
export function Stats({ app, done }) {
  const { t } = app;
  const [stats, setStats] = useState(/** @type {any} */ (null));
  const doc = app.active.value;
  void doc.run.progress.value;
  useEffect(() => {
    const load = () => app.api.json('/system_stats').then(setStats, () => {});
    load();
    const timer = setInterval(load, 3000);
    return () => clearInterval(timer);
  }, []);
  const rows = [...doc.run.nodes].map(([path, state]) => ({ path, ...state })).sort((a, b) => (b.ms ?? -1) - (a.ms ?? -1));
  const most = Math.max(1, ...rows.map((row) => row.ms ?? 0));
  const free = () => app.api.send('/free', { unload_models: true, free_memory: true }).then(() => app.ui.toast(t('stats.freed'), { kind: 'ok' }));
  return html`<${Modal} app=${app} title=${t('cmd.stats')} done=${done}>
    <div class="modal-body stats">
      <h3>${t('stats.memory')}</h3>
      ${stats ? html`<${Meter} app=${app} label="RAM" free=${stats.system?.ram_free} total=${stats.system?.ram_total} />
        ${(stats.devices ?? []).filter((/** @type {any} */ device) => device.type !== 'cpu').map((/** @type {any} */ device) => html`<${Meter} app=${app} key=${device.name} label=${device.name} free=${device.vram_free} total=${device.vram_total} />`)}
        <p class="faint">Python ${String(stats.system?.python_version ?? '').split(' ')[0]} · PyTorch ${stats.system?.pytorch_version ?? ''}</p>` : html`<p class="faint">${t('loading')}</p>`}
      <button type="button" class="button small" onClick=${free}>${t('stats.freeModels')}</button>
      <h3>${t('stats.run')}</h3>
      ${rows.length ? html`<table><thead><tr><th>${t('stats.node')}</th><th>${t('stats.time')}</th><th>${t('stats.memory')}</th><th><span class="spoken">${t('stats.share')}</span></th></tr></thead><tbody>${rows.map((row) => html`<tr key=${row.path}><td><button type="button" class="link" onClick=${() => { done(); show(app, doc, row.path); }}>${nodeLabel(doc, row.path)}</button></td><td>${row.state === 'cached' ? t('stats.cached') : duration(row.ms)}</td><td>${bytes(row.bytes)}</td><td class="stats-bar"><i style=${{ transform: `scaleX(${(row.ms ?? 0) / most})` }}></i></td></tr>`)}</tbody></table>` : html`<p class="faint">${t('stats.none')}</p>`}
    </div>
  <//>`;
}

/** @param {{app: any, label: string, free: number, total: number}} props */
function Meter({ app, label, free, total }) {
  return html`<div class="meter"><span>${label}</span><meter min="0" max=${total} value=${total - free} aria-label=${label}></meter><em>${app.t('stats.free', { free: bytes(free), total: bytes(total) })}</em></div>`;
}
