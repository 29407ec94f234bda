/** The node library: every type by category, to read about and to drag onto the canvas. */

import { html, useMemo, useState } from '../vendor/preact.js';
import { find, passes, readFilters } from '../graph/find.js';
import { Icon, IconButton } from './icon.js';
import { PanelHead, SearchField } from './panels.js';
import { NodeCard } from './nodecard.js';
import { addAt } from './search.js';

/** @typedef {import('../graph/defs.js').NodeDef} NodeDef */
/** @typedef {{name: string, folders: Map<string, Folder>, defs: NodeDef[], count: number}} Folder */

/** @param {NodeDef[]} defs @returns {Folder} */
function tree(defs) {
  /** @type {Folder} */ const root = { name: '', folders: new Map(), defs: [], count: 0 };
  for (const def of defs) {
    let at = root;
    at.count += 1;
    for (const part of def.category.split('/').filter(Boolean)) {
      let next = at.folders.get(part);
      if (!next) at.folders.set(part, (next = { name: part, folders: new Map(), defs: [], count: 0 }));
      next.count += 1;
      at = next;
    }
    at.defs.push(def);
  }
  return root;
}

/** @param {{app: any, title: string}} props */
export function NodeLibrary({ app, title }) {
  const { t } = app;
  const [query, setQuery] = useState('');
  const [shown, setShown] = useState(/** @type {NodeDef|null} */ (null));
  const starred = app.prefs.signal('palette.starred').value;
  void app.defsRevision.value;
  const parts = app.parts.list.value;
  const all = useMemo(() => [...app.defs.types.values(), ...app.parts.defs()].sort((a, b) => a.title.localeCompare(b.title)), [app.defsRevision.value, parts]);
  const root = useMemo(() => tree(all), [all]);
  const hits = useMemo(() => {
    const filters = readFilters(query);
    return query ? find(all.filter((def) => passes(def, filters)), (def) => `${def.title} ${def.type} ${def.category}`, filters.text, { limit: 120 }).map((hit) => hit.item) : [];
  }, [query, all]);
  const row = (/** @type {NodeDef} */ def) => html`<${Row} key=${def.type} app=${app} def=${def} on=${shown?.type === def.type} show=${() => setShown(shown?.type === def.type ? null : def)} />`;
  return html`<${PanelHead} app=${app} title=${title}><${IconButton} icon="rotate-cw" label=${t('cmd.reloadDefs')} hint=${app.commands.hint('reloadDefs')} onClick=${() => app.commands.run('reloadDefs')} /><//>
    <${SearchField} label=${t('nodes.search')} value=${query} onInput=${setQuery} />
    <div class="panel-body">
      ${query ? html`<div role="list">${hits.map(row)}${hits.length ? null : html`<p class="none">${t('palette.none')}</p>`}</div>` : html`
        ${starred.length ? html`<${Branch} app=${app} folder=${{ name: t('nodes.starred'), folders: new Map(), defs: starred.map((/** @type {string} */ type) => app.defs.get(type)).filter(Boolean), count: starred.length }} row=${row} open=${true} depth=${0} />` : null}
        ${[...root.folders.values()].sort((a, b) => a.name.localeCompare(b.name)).map((folder) => html`<${Branch} key=${folder.name} app=${app} folder=${folder} row=${row} depth=${0} />`)}
        ${root.defs.map(row)}`}
    </div>
    ${shown ? html`<div class="panel-card"><${NodeCard} app=${app} def=${shown} /><button type="button" class="button primary" onClick=${() => addAt(app, shown.type)}><${Icon} name="plus" />${t('palette.add')}</button></div>` : null}`;
}

/** @param {{app: any, folder: Folder, row: (def: NodeDef) => any, open?: boolean, depth: number}} props */
function Branch({ app, folder, row, open: first = false, depth }) {
  const [open, setOpen] = useState(first);
  return html`<div class="branch">
    <button type="button" class="branch-head" aria-expanded=${open} style=${{ paddingLeft: `${10 + depth * 12}px` }} onClick=${() => setOpen(!open)}><${Icon} name="chevron-right" size=${12} /><span>${folder.name}</span><em>${folder.count}</em></button>
    ${open ? html`<div class="branch-body" style=${{ '--depth': `${depth + 1}` }}>
      ${[...folder.folders.values()].sort((a, b) => a.name.localeCompare(b.name)).map((inner) => html`<${Branch} key=${inner.name} app=${app} folder=${inner} row=${row} depth=${depth + 1} />`)}
      ${folder.defs.map(row)}
    </div>` : null}
  </div>`;
}

/** @param {{app: any, def: NodeDef, on: boolean, show: () => void}} props */
function Row({ app, def, on, show }) {
  const starred = app.prefs.signal('palette.starred').value;
  const star = starred.includes(def.type);
  const toggle = () => app.prefs.set('palette.starred', star ? starred.filter((/** @type {string} */ type) => type !== def.type) : [...starred, def.type]);
  return html`<div class=${`node-row ${on ? 'on' : ''}`} draggable="true" onDragStart=${(/** @type {any} */ event) => { event.dataTransfer.setData('application/x-latent-loom-node', def.type); event.dataTransfer.effectAllowed = 'copy'; }}>
    <button type="button" class="node-row-name" title=${def.type} aria-expanded=${on} onClick=${show} onDblClick=${() => addAt(app, def.type)}>${def.title}${def.deprecated ? html`<em>${app.t('node.deprecated')}</em>` : null}</button>
    <${IconButton} icon="star" class=${star ? 'starred' : ''} size=${13} label=${app.t('nodes.star')} pressed=${star} onClick=${toggle} />
    <${IconButton} icon="plus" size=${14} label=${app.t('palette.add')} onClick=${() => addAt(app, def.type)} />
  </div>`;
}
