/** The rail at the left and the panel beside it; on a phone a bar at the bottom and a sheet above it. */

import { html, useRef } from '../vendor/preact.js';
import { Icon, IconButton } from './icon.js';
import { lazy } from './lazy.js';

const PANELS = [
  { name: 'queue', icon: 'list-tree', Part: lazy(() => import('./queue.js'), 'Queue') },
  { name: 'gallery', icon: 'images', Part: lazy(() => import('./gallery.js'), 'Gallery') },
  { name: 'nodes', icon: 'boxes', Part: lazy(() => import('./nodes.js'), 'NodeLibrary') },
  { name: 'models', icon: 'package', Part: lazy(() => import('./models.js'), 'Models') },
  { name: 'workflows', icon: 'workflow', Part: lazy(() => import('./workflows.js'), 'Workflows') },
  { name: 'outline', icon: 'list', Part: lazy(() => import('./outline.js'), 'Outline') },
  { name: 'errors', icon: 'circle-alert', Part: lazy(() => import('./errors.js'), 'Errors') },
];

/** @param {{app: any}} props */
export function Rail({ app }) {
  const { t } = app;
  const open = app.ui.panel.value;
  const errors = app.active.value.run.errors.value.length;
  /** @type {Record<string, number>} */ const badges = { queue: app.jobs.count.value, errors };
  return html`<nav class="rail" aria-label=${t('rail.label')}>
    ${PANELS.map(({ name, icon }) => html`<button type="button" key=${name} class=${`rail-button ${name === 'errors' && errors ? 'bad' : ''}`} aria-pressed=${open === name} title=${`${t(`panel.${name}`)}  ${app.commands.hint(`panel.${name}`)}`} onClick=${() => app.ui.togglePanel(name)}>
      <${Icon} name=${icon} size=${18} /><span>${t(`panel.${name}`)}</span>${badges[name] ? html`<b>${badges[name]}</b>` : null}
    </button>`)}
    <span class="rail-gap"></span>
    <${IconButton} icon=${document.documentElement.dataset.theme === 'dark' ? 'sun' : 'moon'} class="rail-small" label=${t('cmd.theme')} onClick=${() => app.commands.run('theme')} />
    <${IconButton} icon="keyboard" class="rail-small" label=${t('cmd.shortcuts')} hint=${app.commands.hint('shortcuts')} onClick=${() => app.commands.run('shortcuts')} />
    <${IconButton} icon="settings" class="rail-small" label=${t('cmd.settings')} hint=${app.commands.hint('settings')} onClick=${() => app.commands.run('settings')} />
  </nav>`;
}

/** @param {{app: any}} props */
export function SidePanel({ app }) {
  void app.prefs.signal('theme').value;
  const open = PANELS.find(({ name }) => name === app.ui.panel.value);
  const width = app.prefs.signal('panel.width');
  const drag = useRef(/** @type {{x: number, width: number}|null} */ (null));
  if (!open) return null;
  const title = app.t(`panel.${open.name}`);
  return html`<aside class="panel" tabindex="-1" aria-label=${title} style=${{ '--panel-width': `${width.value}px` }} onKeyDown=${(/** @type {any} */ event) => { if (event.key === 'Escape' && !event.defaultPrevented) { app.prefs.set('panel.open', ''); app.canvas?.focus(); } }}>
    <${open.Part} app=${app} key=${open.name} title=${title} />
    <div class="panel-edge" role="separator" aria-orientation="vertical" aria-label=${app.t('panel.resize')} tabindex="0" aria-valuenow=${width.value} aria-valuemin="240" aria-valuemax="720"
      onKeyDown=${(/** @type {any} */ event) => { const by = event.key === 'ArrowRight' ? 20 : event.key === 'ArrowLeft' ? -20 : 0; if (by) app.prefs.set('panel.width', clamp(width.value + by)); }}
      onPointerDown=${(/** @type {any} */ event) => { drag.current = { x: event.clientX, width: width.value }; event.currentTarget.setPointerCapture(event.pointerId); }}
      onPointerMove=${(/** @type {any} */ event) => drag.current && app.prefs.set('panel.width', clamp(drag.current.width + event.clientX - drag.current.x))}
      onPointerUp=${() => (drag.current = null)} />
  </aside>`;
}

/** @param {number} width */
const clamp = (width) => Math.max(240, Math.min(720, Math.round(width)));

/** The head of a panel. @param {{app: any, title: string, children?: any}} props */
export function PanelHead({ app, title, children }) {
  return html`<header class="panel-head"><h2>${title}</h2><div class="panel-acts">${children}<${IconButton} icon="x" label=${app.t('close')} onClick=${() => { app.prefs.set('panel.open', ''); app.canvas?.focus(); }} /></div></header>`;
}

/** A field to search with. @param {{label: string, value: string, onInput: (text: string) => void, children?: any}} props */
export function SearchField({ label, value, onInput, children }) {
  return html`<div class="search-field"><${Icon} name="search" size=${14} /><input type="search" aria-label=${label} placeholder=${label} value=${value} spellcheck="false" onInput=${(/** @type {any} */ event) => onInput(event.target.value)} />${children}</div>`;
}
