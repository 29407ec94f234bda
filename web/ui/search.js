/** The search palette: find a node type by name, by what it takes and gives, and see what it does before adding it. */

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from '../vendor/preact.js';
import { addNode } from '../graph/edit.js';
import { swapNode } from '../graph/copy.js';
import { find, passes, readFilters } from '../graph/find.js';
import { fits } from '../graph/types.js';
import { Icon } from './icon.js';
import { Marked, NodeCard, TypeDot } from './nodecard.js';
import { middle } from './drop.js';
import { pasteData } from './clipboard.js';
import { PREFIX } from '../store/parts.js';

/** @typedef {import('../graph/defs.js').NodeDef} NodeDef */

/** @param {{app: any}} props */
export function Palette({ app }) {
  const request = app.ui.paletteOpen.value;
  return request ? html`<${Open} app=${app} request=${request} key=${JSON.stringify(request.at ?? null)} />` : null;
}

/** Definitions a palette offers. @param {any} app @param {any} request @returns {NodeDef[]} */
function offered(app, request) {
  const doc = app.active.peek();
  const subs = [...doc.flow.subs.values()].filter((sub) => sub !== doc.graph).map((sub) => app.defs.get(sub.id, doc.flow));
  const all = [...app.defs.types.values(), ...subs];
  const { filter } = request;
  if (!filter) return request.replace === undefined && !request.onPick ? [...all, ...app.parts.defs()] : all;
  return all.filter((def) => (filter.side === 'in' ? def.inputs.some((/** @type {any} */ input) => fits(filter.type, input.type)) : def.outputs.some((/** @type {any} */ output) => fits(output.type, filter.type))));
}

/** What most graphs are made of: first in the list until one has habits of one's own. */
const COMMON = ['CLIPTextEncode', 'KSampler', 'CheckpointLoaderSimple', 'EmptyLatentImage', 'VAEDecode', 'SaveImage', 'PreviewImage', 'LoadImage', 'VAEEncode', 'LoraLoader', 'ControlNetApplyAdvanced', 'ImageScale', 'LatentUpscale'];
const common = new Map(COMMON.map((type, i) => [type, 3 - i / COMMON.length]));

/** @param {NodeDef} def */
const textOf = (def) => `${def.title}\u0001 ${def.type !== def.title ? def.type : ''} ${def.aliases.join(' ')} ${def.category.replaceAll('/', ' ')}`;

/** @param {any} app @param {any} request @param {NodeDef[]} defs @param {string} query */
function search(app, request, defs, query) {
  const used = app.prefs.get('palette.used');
  const recent = app.prefs.get('palette.recent');
  const filters = readFilters(query);
  /** @param {NodeDef} def habits first, what nearly everyone needs next, what is old last */
  const weight = (def) => Math.min(12, Math.log2(1 + (used[def.type] ?? 0)) * 2) + (common.get(def.type) ?? 0) - (def.virtual ? 2 : 0) - (def.deprecated ? 40 : 0) - (def.experimental ? 3 : 0) + (exact(def, request) ? 8 : 0);
  const pool = defs.filter((def) => passes(def, filters));
  const found = find(pool, textOf, filters.text, { limit: 60, weight });
  if (filters.text || request.filter) return found;
  const fresh = recent.map((/** @type {string} */ type) => pool.find((def) => def.type === type)).filter(Boolean).map((/** @type {NodeDef} */ def) => ({ item: def, text: def.title, marks: [] }));
  return [...fresh, ...found.filter((hit) => !recent.includes(hit.item.type))].slice(0, 60);
}

/** @param {{app: any, request: any}} props */
function Open({ app, request }) {
  const { t } = app;
  const [query, setQuery] = useState('');
  const [at, setAt] = useState(0);
  const input = useRef(/** @type {any} */ (null));
  const list = useRef(/** @type {any} */ (null));
  const before = useRef(document.activeElement);
  const box = useRef(/** @type {any} */ (null));
  const defs = useMemo(() => offered(app, request), [request]);
  const recent = app.prefs.get('palette.recent');
  const hits = useMemo(() => search(app, request, defs, query), [query, defs]);
  useLayoutEffect(() => {
    input.current?.focus();
    if (request.screen) near(box.current, request.screen);
  }, []);
  useEffect(() => list.current?.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' }), [at]);
  const close = () => {
    app.ui.paletteOpen.value = null;
    app.ui.refocus(before.current);
  };
  const pick = (/** @type {NodeDef} */ def, stay = false) => {
    remember(app, def.type);
    if (!stay) close();
    place(app, request, def.type, stay);
  };
  const keydown = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step) setAt(Math.max(0, Math.min(hits.length - 1, at + step)));
    else if (event.key === 'Enter' && hits[at]) pick(hits[at].item, event.shiftKey);
    else if (event.key === 'Escape') close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const chosen = hits[Math.min(at, hits.length - 1)]?.item;
  const title = request.replace !== undefined ? t('palette.replace') : request.filter ? t(request.filter.side === 'in' ? 'palette.takes' : 'palette.gives', { type: request.filter.type }) : '';
  return html`<div class=${`shade ${request.screen ? 'clear' : ''}`} onPointerDown=${(/** @type {any} */ event) => event.target === event.currentTarget && close()}>
    <div class="palette" ref=${box} role="dialog" aria-label=${t('palette.label')} onKeyDown=${keydown}>
      <div class="palette-head"><${Icon} name="search" />
        ${title ? html`<span class="palette-filter">${request.filter ? html`<${TypeDot} type=${request.filter.type} />` : null}${title}</span>` : null}
        <input ref=${input} type="text" role="combobox" aria-expanded="true" aria-controls="palette-list" aria-activedescendant=${chosen ? `hit-${at}` : undefined} aria-label=${t('palette.label')} placeholder=${t('palette.hint')} value=${query} spellcheck="false" autocomplete="off"
          onInput=${(/** @type {any} */ event) => { setQuery(event.target.value); setAt(0); }} />
      </div>
      <div class="palette-body">
        <div class="palette-list" id="palette-list" role="listbox" aria-label=${t('palette.results')} ref=${list}>
          ${hits.map((hit, i) => html`<div role="option" id=${`hit-${i}`} aria-selected=${i === at} class="hit" key=${hit.item.type} onPointerMove=${() => setAt(i)} onClick=${(/** @type {any} */ event) => pick(hit.item, event.shiftKey)}>
            <span class="hit-name"><${Marked} text=${hit.item.title} marks=${hit.marks} />${recent.includes(hit.item.type) && !query ? html`<${Icon} name="history" size=${12} class="faint" />` : null}</span>
            <span class="hit-where">${hit.item.category}</span>
          </div>`)}
          ${hits.length ? null : html`<p class="none">${t('palette.none')}</p>`}
        </div>
        ${chosen ? html`<aside class="palette-card"><${NodeCard} app=${app} def=${chosen} /></aside>` : null}
      </div>
      <footer class="palette-foot"><span><kbd>↵</kbd> ${t('palette.add')}</span><span><kbd>⇧↵</kbd> ${t('palette.stay')}</span><span><b>i:</b>image${' '}<b>o:</b>latent${' '}<b>c:</b>loaders</span></footer>
    </div>
  </div>`;
}

/** Puts the palette beside the pointer, within the page. @param {HTMLElement} box @param {[number, number]} screen from the corner of the canvas */
function near(box, [x, y]) {
  if (innerWidth < 720) return;
  const canvas = document.getElementById('canvas')?.getBoundingClientRect();
  const { width } = box.getBoundingClientRect();
  const height = Math.min(440, innerHeight - 24);
  box.style.position = 'absolute';
  box.style.height = `${height}px`;
  box.style.left = `${Math.max(12, Math.min(innerWidth - width - 12, (canvas?.left ?? 0) + x + 12))}px`;
  box.style.top = `${Math.max(12, Math.min(innerHeight - height - 12, (canvas?.top ?? 0) + y - 60))}px`;
}

/** Whether a definition has a port of exactly the wanted type. @param {NodeDef} def @param {any} request */
function exact(def, { filter }) {
  if (!filter) return false;
  return filter.side === 'in' ? def.inputs.some((input) => input.type === filter.type) : def.outputs.some((output) => output.type === filter.type);
}

/** @param {any} app @param {string} type */
function remember(app, type) {
  const used = app.prefs.get('palette.used');
  app.prefs.set('palette.used', { ...used, [type]: (used[type] ?? 0) + 1 });
  app.prefs.set('palette.recent', [type, ...app.prefs.get('palette.recent').filter((/** @type {string} */ other) => other !== type)].slice(0, 8));
}

/** @param {any} app @param {any} request @param {string} type @param {boolean} stay */
function place(app, request, type, stay) {
  if (request.onPick) return request.onPick(type, { stay });
  const doc = app.active.peek();
  if (request.replace !== undefined) {
    const id = doc.edit(app.t('menu.swap'), (/** @type {any} */ e) => swapNode(e, request.replace, type));
    return doc.select({ nodes: id === null ? [] : [id] });
  }
  addAt(app, type, request.at);
  if (stay && request.at) request.at = [request.at[0] + 30, request.at[1] + 30];
}

/** Adds a node and selects it. @param {any} app @param {string} type @param {[number, number]} [at] */
export function addAt(app, type, at) {
  const doc = app.active.peek();
  if (type.startsWith(PREFIX)) return void addPart(app, type.slice(PREFIX.length), at);
  doc.edit(app.t('edit.add'), (/** @type {any} */ e) => {
    const node = addNode(e, type, at ?? middle(app));
    doc.select({ nodes: [node.id] });
  });
}

/** Adds a published subgraph. @param {any} app @param {string} id @param {[number, number]} [at] */
async function addPart(app, id, at) {
  try {
    pasteData(app, await app.parts.read(id), { at: at ?? middle(app) });
  } catch (error) {
    app.ui.toast(app.t('open.failed', { name: id, why: error instanceof Error ? error.message : String(error) }), { kind: 'error' });
  }
}
