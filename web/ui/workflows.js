/** The workflow library: what was saved on the server, and the templates it ships. */

import { html, useEffect, useState } from '../vendor/preact.js';
import { find } from '../graph/find.js';
import { Icon, IconButton } from './icon.js';
import { PanelHead, SearchField } from './panels.js';
import { ago } from './media.js';
import { openSaved } from './files.js';

/** @param {{app: any, title: string}} props */
export function Workflows({ app, title }) {
  const { t, files } = app;
  const [query, setQuery] = useState('');
  useEffect(() => {
    files.refresh().catch(() => {});
    void files.refreshTemplates();
  }, []);
  const saved = query ? find(files.saved.value, (/** @type {any} */ file) => file.path, query).map((hit) => /** @type {any} */ (hit.item)) : files.saved.value;
  const templates = query ? find(files.templates.value, (/** @type {any} */ one) => `${one.name} ${one.pack}`, query).map((hit) => /** @type {any} */ (hit.item)) : files.templates.value;
  const current = app.active.value.file.value;
  return html`<${PanelHead} app=${app} title=${title}>
      <${IconButton} icon="save" label=${t('cmd.save')} hint=${app.commands.hint('save')} onClick=${() => app.commands.run('save')} />
      <${IconButton} icon="folder-open" label=${t('cmd.open')} hint=${app.commands.hint('open')} onClick=${() => app.commands.run('open')} />
    <//>
    <${SearchField} label=${t('workflows.search')} value=${query} onInput=${setQuery} />
    <div class="panel-body">
      <h3 class="section">${t('workflows.saved')}</h3>
      ${saved.length ? saved.map((/** @type {any} */ file) => html`<div class=${`file-row ${file.path === current ? 'on' : ''}`} key=${file.path}>
        <button type="button" class="file-main" onClick=${() => openSaved(app, file.path, file.name)}><${Icon} name="workflow" size=${15} /><span><b>${file.path.replace(/\.json$/, '')}</b><span>${ago(app, file.modified * (file.modified < 1e12 ? 1000 : 1))}</span></span></button>
        <${IconButton} icon="ellipsis" label=${t('more')} onClick=${(/** @type {any} */ event) => { const box = event.currentTarget.getBoundingClientRect(); app.ui.menu(fileItems(app, file), [box.right - 180, box.bottom + 4]); }} />
      </div>`) : html`<p class="none">${t(query ? 'palette.none' : 'workflows.empty')}</p>`}
      ${byFolder(templates).map(([folder, list]) => html`<h3 class="section">${folder ? titleOf(folder) : t('workflows.templates')}</h3><div class="templates" key=${folder}>${list.map((one) => html`<button type="button" class="template" key=${`${one.pack}/${one.name}`} onClick=${() => openTemplate(app, one)}>
        <${Thumb} url=${one.thumbnail ? files.thumbnail(one) : ''} /><b>${titleOf(one.name)}</b>${one.pack ? html`<span>${one.pack}</span>` : null}
      </button>`)}</div>`)}
    </div>`;
}

/** Templates by the folder they are in, those in none first. @param {import('../store/files.js').Template[]} templates @returns {[string, import('../store/files.js').Template[]][]} */
function byFolder(templates) {
  /** @type {Map<string, import('../store/files.js').Template[]>} */ const found = new Map();
  for (const one of templates) {
    const folder = one.pack ? '' : one.name.split('/').slice(0, -1).join('/');
    found.set(folder, [...(found.get(folder) ?? []), one]);
  }
  return [...found].sort(([a], [b]) => a.localeCompare(b));
}

/** @param {string} name */
function titleOf(name) {
  const words = (name.split('/').pop() ?? name).replaceAll(/[-_]/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** @param {{url: string}} props */
function Thumb({ url }) {
  const [shown, setShown] = useState(Boolean(url));
  return html`<span class="template-pic">${shown ? html`<img src=${url} alt="" loading="lazy" onError=${() => setShown(false)} />` : html`<${Icon} name="workflow" size=${22} />`}</span>`;
}

/** @param {any} app @param {import('../store/files.js').Template} one */
async function openTemplate(app, one) {
  try {
    const data = await app.files.template(one);
    app.open({ ...data, ...(Array.isArray(data.nodes) ? { id: crypto.randomUUID() } : {}) }, { name: titleOf(one.name) });
  } catch (error) {
    app.ui.toast(app.t('open.failed', { name: one.name, why: error instanceof Error ? error.message : String(error) }), { kind: 'error' });
  }
}

/** @param {any} app @param {any} file @returns {(import('./layers.js').MenuItem|'-')[]} */
function fileItems(app, file) {
  const { t } = app;
  const rename = async () => {
    const name = await app.ui.ask(t('tab.rename'), file.path.replace(/\.json$/, ''));
    if (name?.trim()) await app.files.move(file.path, `${name.trim()}.json`).catch((/** @type {any} */ error) => app.ui.toast(error.message, { kind: 'error' }));
  };
  const remove = async () => {
    if (await app.ui.confirm(t('workflows.deleteAsk', { name: file.path }), t('cmd.delete'), { danger: true })) await app.files.remove(file.path);
  };
  return [
    { label: t('cmd.open'), icon: 'folder-open', run: () => openSaved(app, file.path, file.name) },
    { label: t('cmd.diff'), icon: 'history', run: () => app.ui.dialog('diff', { path: file.path }) },
    { label: t('tab.rename'), icon: 'pencil', run: rename },
    '-',
    { label: t('cmd.delete'), icon: 'trash-2', danger: true, run: remove },
  ];
}
