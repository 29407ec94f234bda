/** Everything that was made, newest first; choose two to compare. */

import { html, useMemo, useState } from '../vendor/preact.js';
import { find } from '../graph/find.js';
import { Icon, IconButton } from './icon.js';
import { PanelHead, SearchField } from './panels.js';
import { firstText } from './queue.js';
import { mediaOf, thumbUrl } from './media.js';
import { saveToDisk } from './files.js';
import { compareDropped } from './dropcompare.js';

/** @typedef {{file: any, path: string, kind: string, job: import('../store/jobs.js').Job, text: string}} Item */

/** Every file once, by the job that made it: later ones that only found it in the cache list it too. @param {any} app @returns {Item[]} */
export function everything(app) {
  /** @type {Map<string, Item>} */ const found = new Map();
  for (const job of app.jobs.past.value) for (const medium of mediaOf(job.outputs)) found.set(keyOf(medium), { ...medium, job, text: `${medium.file.filename} ${firstText(job.prompt) ?? ''}` });
  return [...found.values()].filter(({ file }) => !app.jobs.deleted.value.has(keyOf({ file }))).sort((a, b) => (b.job.time ?? 0) - (a.job.time ?? 0));
}

/** What has every word, newest first; then what nearly has them. @param {Item[]} items @param {string} query @returns {Item[]} */
function search(items, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const has = (/** @type {Item} */ item) => words.every((word) => item.text.toLowerCase().includes(word));
  const near = find(items, (item) => item.text, query, { limit: 200 }).map((hit) => hit.item).filter((item) => !has(item));
  return [...items.filter(has), ...near].slice(0, 200);
}

/** @param {{file: any}} item */
export const keyOf = ({ file }) => `${file.type ?? 'output'}/${file.subfolder ?? ''}/${file.filename}`;

/** The job that made a file, if it is in the history. @param {any} app @param {any} file */
export function jobOf(app, file) {
  return everything(app).find((item) => keyOf(item) === keyOf({ file }))?.job;
}

/** @param {{app: any, title: string}} props */
export function Gallery({ app, title }) {
  const { t } = app;
  const [query, setQuery] = useState('');
  const [chosen, setChosen] = useState(/** @type {string[]} */ ([]));
  const [temp, setTemp] = useState(false);
  const [size, setSize] = useState(96);
  const all = everything(app);
  const shown = useMemo(() => {
    const pool = all.filter((item) => temp || item.file.type !== 'temp');
    return query ? search(pool, query) : pool.slice(0, 400);
  }, [app.jobs.past.value, app.jobs.deleted.value, query, temp]);
  const pictures = shown.map((item) => ({ url: app.api.viewUrl(item.file), name: item.file.filename, file: item.file, kind: item.kind, path: item.path, job: item.job }));
  const toggle = (/** @type {string} */ key) => setChosen((old) => (old.includes(key) ? old.filter((other) => other !== key) : [...old, key].slice(-12)));
  const picked = shown.filter((item) => chosen.includes(keyOf(item)));
  return html`<${PanelHead} app=${app} title=${title}>
      <${IconButton} icon=${size > 100 ? 'layout-grid' : 'grid-3x3'} label=${t('gallery.size')} onClick=${() => setSize(size > 100 ? 96 : 150)} />
      <${IconButton} icon="eye" label=${t('gallery.temp')} pressed=${temp} onClick=${() => setTemp(!temp)} />
    <//>
    <${SearchField} label=${t('gallery.search')} value=${query} onInput=${setQuery} />
    <div class="panel-body" onDragOver=${(/** @type {any} */ event) => event.preventDefault()} onDrop=${(/** @type {any} */ event) => compareDropped(app, event, shown.filter((item) => item.kind === 'image').map((item) => item.file), (file) => `${file.type}/${file.subfolder ?? ''}/${file.filename}`)}>
      ${shown.length ? html`<div class="grid" style=${{ '--cell': `${size}px` }}>
        ${shown.map((item, i) => html`<figure key=${keyOf(item)} data-file=${keyOf(item)} class=${chosen.includes(keyOf(item)) ? 'chosen' : ''} onContextMenu=${(/** @type {any} */ event) => { event.preventDefault(); app.ui.menu(pictureItems(app, item), [event.clientX, event.clientY]); }}>
          <button type="button" class="cell" title=${item.text} aria-label=${t('gallery.view', { name: item.file.filename })} onClick=${(/** @type {any} */ event) => (event.ctrlKey || event.metaKey || event.shiftKey ? toggle(keyOf(item)) : app.ui.lightbox(pictures, i))}
            draggable="true" onDragStart=${(/** @type {any} */ event) => { event.dataTransfer.setData('text/uri-list', new URL(app.api.viewUrl(item.file), location.href).href); event.dataTransfer.setData('application/x-latent-loom-file', JSON.stringify(item.file)); }}>
            ${item.kind === 'image' ? html`<img src=${thumbUrl(app, item.file)} alt="" loading="lazy" decoding="async" />` : item.kind === 'video' ? html`<video src=${app.api.viewUrl(item.file)} preload="metadata" muted></video><${Icon} name="play" class="on-cell" />` : html`<${Icon} name="music" size=${22} />`}
          </button>
          <input type="checkbox" class="pick" checked=${chosen.includes(keyOf(item))} aria-label=${t('gallery.choose', { name: item.file.filename })} onChange=${() => toggle(keyOf(item))} />
        </figure>`)}
      </div>` : html`<p class="none">${t(query ? 'palette.none' : 'gallery.empty')}</p>`}
    </div>
    ${picked.length ? html`<footer class="panel-foot">
      <span>${t('gallery.chosen', { n: picked.length })}</span>
      <${IconButton} icon="columns-2" label=${t('image.compare')} disabled=${picked.length !== 2} onClick=${() => app.ui.compare(app.api.viewUrl(picked[1].file), app.api.viewUrl(picked[0].file))} />
      <${IconButton} icon="download" label=${t('image.save')} onClick=${() => picked.forEach((item) => saveToDisk(app.api.viewUrl(item.file), item.file.filename))} />
      <${IconButton} icon="trash-2" label=${t('gallery.delete')} onClick=${() => remove(app, picked).then((gone) => gone && setChosen([]))} />
      <${IconButton} icon="x" label=${t('gallery.unchoose')} onClick=${() => setChosen([])} />
    </footer>` : null}`;
}

/** @param {any} app @param {{file: any, kind: string, job: any}} item @returns {(import('./layers.js').MenuItem|'-')[]} */
export function pictureItems(app, item) {
  const { t } = app;
  return [
    { label: t('queue.openWorkflow'), icon: 'workflow', disabled: !item.job, run: () => app.open(item.job.workflow ?? item.job.prompt, { name: item.file.filename.replace(/\.[^.]*$/, '') }) },
    { label: t('gallery.toInput'), icon: 'corner-up-left', disabled: item.kind !== 'image', run: () => toInput(app, item.file) },
    { label: t('image.save'), icon: 'download', run: () => saveToDisk(app.api.viewUrl(item.file), item.file.filename) },
    { label: t('image.newTab'), icon: 'external-link', run: () => window.open(app.api.viewUrl(item.file), '_blank', 'noopener') },
    '-',
    { label: t('gallery.delete'), icon: 'trash-2', danger: true, run: () => remove(app, [item]) },
  ];
}

/** Deletes files for good, after asking. @param {any} app @param {{file: any}[]} items @returns {Promise<boolean>} whether they are gone */
export async function remove(app, items) {
  const sure = await app.ui.confirm(app.t(items.length === 1 ? 'gallery.deleteAsk' : 'gallery.deleteMany', { name: items[0].file.filename, n: items.length }), app.t('cmd.delete'), { danger: true });
  if (!sure) return false;
  try {
    await app.jobs.deleteFiles(items.map(({ file }) => file));
    return true;
  } catch (error) {
    app.ui.toast(error instanceof Error ? error.message : String(error), { kind: 'error' });
    return false;
  }
}

/** Puts a picture that was made into the input folder and on a node that loads pictures: the one named, the selected one, or a new one. @param {any} app @param {any} file @param {any} [id] @param {[number, number]} [at] */
export async function toInput(app, file, id, at) {
  const blob = await (await fetch(app.api.viewUrl(file))).blob();
  const doc = app.active.peek();
  const selected = at ? undefined : [...doc.selection.nodes].map((one) => doc.graph.node(one)).find((node) => node?.widgets.some((/** @type {any} */ widget) => widget.options.image));
  const { dropOnNew } = await import('./send.js');
  await dropOnNew(app, new File([blob], file.filename, { type: blob.type }), id ?? selected?.id, at);
}
