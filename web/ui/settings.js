/** Settings, and the list of shortcuts, each of which can be changed. */

import { html, useState } from '../vendor/preact.js';
import { find } from '../graph/find.js';
import { LANGUAGES } from '../store/words.js';
import { Modal } from './dialogs.js';
import { Icon } from './icon.js';
import { RESERVED, keyOf, showKey } from './keys.js';
import { SearchField } from './panels.js';

const PAGES = ['look', 'canvas', 'runs', 'keys', 'about'];

/** @param {{app: any, page?: string, done: (value?: any) => void}} props */
export function Settings({ app, page = 'look', done }) {
  const { t } = app;
  const [open, setOpen] = useState(page);
  const Page = { look: Look, canvas: Canvas, runs: Runs, keys: Keys, about: About }[/** @type {'look'} */ (open)];
  return html`<${Modal} app=${app} title=${t('cmd.settings')} done=${done} class="settings">
    <div class="settings-frame">
      <nav class="settings-nav" aria-label=${t('cmd.settings')}>${PAGES.map((name) => html`<button type="button" key=${name} aria-current=${open === name ? 'page' : undefined} onClick=${() => setOpen(name)}>${t(`settings.${name}`)}</button>`)}</nav>
      <div class="modal-body"><${Page} app=${app} /></div>
    </div>
  <//>`;
}

/** One of several. @param {{app: any, id: string, label: string, choices: [any, string][]}} props */
function Choice({ app, id, label, choices }) {
  const value = app.prefs.signal(id).value;
  return html`<div class="setting" role="radiogroup" aria-label=${label}><span>${label}</span><div class="segments">${choices.map(([key, text]) => html`<button type="button" role="radio" aria-checked=${value === key} key=${String(key)} onClick=${() => app.prefs.set(id, key)}>${text}</button>`)}</div></div>`;
}

/** @param {{app: any, id: string, label: string}} props */
function Switch({ app, id, label }) {
  return html`<label class="setting"><span>${label}</span><input type="checkbox" role="switch" class="switch" checked=${app.prefs.signal(id).value} onChange=${(/** @type {any} */ event) => app.prefs.set(id, event.target.checked)} /></label>`;
}

/** @param {{app: any, id: string, label: string, min: number, max: number, step: number, unit?: string}} props */
function Range({ app, id, label, min, max, step, unit = '' }) {
  const value = app.prefs.signal(id).value;
  return html`<label class="setting"><span>${label}</span><span class="setting-range"><input type="range" min=${min} max=${max} step=${step} value=${value} onInput=${(/** @type {any} */ event) => app.prefs.set(id, Number(event.target.value))} /><b>${value}${unit}</b></span></label>`;
}

/** @param {{app: any}} props */
function Look({ app }) {
  const { t } = app;
  return html`<${Choice} app=${app} id="theme" label=${t('settings.theme')} choices=${[['system', t('theme.system')], ['light', t('theme.light')], ['dark', t('theme.dark')]]} />
    <${Choice} app=${app} id="language" label=${t('settings.language')} choices=${[['', t('theme.system')], ...Object.entries(LANGUAGES)]} />
    <${Range} app=${app} id="text.size" label=${t('settings.textSize')} min=${80} max=${160} step=${5} unit="%" />
    <${Choice} app=${app} id="motion" label=${t('settings.motion')} choices=${[['system', t('theme.system')], ['full', t('motion.full')], ['less', t('motion.less')]]} />`;
}

/** @param {{app: any}} props */
function Canvas({ app }) {
  const { t } = app;
  return html`<${Choice} app=${app} id="canvas.links" label=${t('settings.links')} choices=${[['curve', t('links.curve')], ['straight', t('links.straight')], ['ortho', t('links.ortho')]]} />
    <${Choice} app=${app} id="canvas.select" label=${t('settings.mode')} choices=${[[false, t('mode.pan')], [true, t('mode.select')]]} />
    <${Switch} app=${app} id="canvas.snap" label=${t('settings.snap')} />
    <${Range} app=${app} id="canvas.grid" label=${t('settings.grid')} min=${5} max=${50} step=${5} />
    <${Switch} app=${app} id="canvas.minimap" label=${t('settings.minimap')} />
    <${Switch} app=${app} id="canvas.stats" label=${t('settings.stats')} />
    <${Switch} app=${app} id="canvas.advice" label=${t('settings.advice')} />
    <${Range} app=${app} id="canvas.zoomSpeed" label=${t('settings.zoomSpeed')} min=${0.3} max=${3} step=${0.1} />`;
}

/** @param {{app: any}} props */
function Runs({ app }) {
  const { t } = app;
  return html`<${Switch} app=${app} id="run.previews" label=${t('settings.previews')} />
    <${Choice} app=${app} id="run.auto" label=${t('cmd.run')} choices=${['off', 'change', 'always'].map((mode) => [mode, t(`auto.${mode}`)])} />`;
}

/** @param {{app: any}} props */
function Keys({ app }) {
  const { t } = app;
  const [query, setQuery] = useState('');
  const [listening, setListening] = useState('');
  void app.commands.version.value;
  const all = [...app.commands.all.values()].filter((command) => !command.hidden);
  const shown = find(all, (command) => `${t(command.title)} ${app.commands.keysOf(command.id).join(' ')}`, query, { limit: 300 }).map((hit) => hit.item);
  const take = (/** @type {KeyboardEvent} */ event, /** @type {any} */ command) => {
    event.preventDefault();
    event.stopPropagation();
    if (['Control', 'Shift', 'Alt', 'Meta'].includes(event.key)) return;
    setListening('');
    if (event.key === 'Escape') return;
    const key = keyOf(event);
    if (RESERVED.has(key)) return app.ui.toast(t('keys.reserved', { key: showKey(key) }), { kind: 'error' });
    const other = all.find((one) => one !== command && one.where === command.where && app.commands.keysOf(one.id).includes(key));
    if (other) {
      app.commands.rebind(other.id, app.commands.keysOf(other.id).filter((/** @type {string} */ one) => one !== key));
      app.ui.toast(t('keys.taken', { key: showKey(key), what: t(other.title) }));
    }
    app.commands.rebind(command.id, [key]);
  };
  return html`<div class="keys"><${SearchField} label=${t('keys.search')} value=${query} onInput=${setQuery} />
    ${shown.map((command) => html`<div class="key-row" key=${command.id}><span>${t(command.title)}</span>
      <button type="button" class=${`key ${listening === command.id ? 'listening' : ''}`} aria-label=${`${app.commands.keysOf(command.id).map(showKey).join(' ') || t('keys.none')}, ${t(command.title)}: ${t('keys.add')}`} onClick=${() => setListening(command.id)} onBlur=${() => setListening('')} onKeyDown=${(/** @type {any} */ event) => listening === command.id && take(event, command)}>
        ${listening === command.id ? t('keys.press') : app.commands.keysOf(command.id).map((/** @type {string} */ key) => html`<kbd>${showKey(key)}</kbd> `)}${listening !== command.id && !app.commands.keysOf(command.id).length ? html`<em>${t('keys.none')}</em>` : null}
      </button>
      ${command.id in app.prefs.signal('keys').value ? html`<button type="button" class="link" onClick=${() => app.commands.rebind(command.id, null)}>${t('keys.reset')}</button>` : null}
    </div>`)}</div>`;
}

/** @param {{app: any}} props */
function About({ app }) {
  return html`<p class="about"><img src="icon.svg" width="44" height="44" alt="" /><span>${app.t('about.text')}</span></p><p><a class="link" href="vendor/LICENSES" target="_blank" rel="noopener"><${Icon} name="file-text" size=${14} />preact, htm, uFuzzy, dagre, idb-keyval, marked, DOMPurify, lucide</a></p>`;
}
