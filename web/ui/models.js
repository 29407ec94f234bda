/** The model library: files by folder, with picture, family, hash, and where they are used. */

import { html, useEffect, useMemo, useState } from '../vendor/preact.js';
import { find } from '../graph/find.js';
import { addNode, setValue } from '../graph/edit.js';
import { valueOf } from '../graph/model.js';
import { executable } from '../graph/prompt.js';
import { Icon, IconButton } from './icon.js';
import { PanelHead, SearchField } from './panels.js';
import { ago, bytes } from './media.js';
import { middle } from './drop.js';
import { show } from './errors.js';
import { openSaved } from './files.js';

/** The node that loads a file of a folder, and the widget that names it. */
const LOADERS = {
  checkpoints: ['CheckpointLoaderSimple', 'ckpt_name'], loras: ['LoraLoader', 'lora_name'], vae: ['VAELoader', 'vae_name'], controlnet: ['ControlNetLoader', 'control_net_name'],
  diffusion_models: ['UNETLoader', 'unet_name'], text_encoders: ['CLIPLoader', 'clip_name'], clip_vision: ['CLIPVisionLoader', 'clip_name'], upscale_models: ['UpscaleModelLoader', 'model_name'],
  style_models: ['StyleModelLoader', 'style_model_name'], gligen: ['GLIGENLoader', 'gligen_name'],
};

/** @typedef {{name: string, folder: string, pathIndex: number, size?: number, modified?: number}} ModelFile */

/** @param {any} app @returns {Promise<ModelFile[]>} */
async function listModels(app) {
  const folders = await app.api.json('/experiment/models').catch(() => app.api.json('/models').then((/** @type {string[]} */ names) => names.map((name) => ({ name }))));
  const lists = await Promise.all(folders.map(async (/** @type {{name: string}} */ { name: folder }) => {
    const files = await app.api.json(`/experiment/models/${encodeURIComponent(folder)}`).catch(() => app.api.json(`/models/${encodeURIComponent(folder)}`).catch(() => []));
    return files.map((/** @type {any} */ file) => (typeof file === 'string' ? { name: file, folder, pathIndex: 0 } : { ...file, folder }));
  }));
  return lists.flat();
}

/** @param {{app: any, title: string}} props */
export function Models({ app, title }) {
  const { t } = app;
  const [files, setFiles] = useState(/** @type {ModelFile[]|null} */ (null));
  const [pictured, setPictured] = useState(/** @type {Set<string>} */ (new Set()));
  const [query, setQuery] = useState('');
  const [folder, setFolder] = useState('');
  const [shown, setShown] = useState('');
  const [error, setError] = useState('');
  const load = () => listModels(app).then(async (found) => {
    setFiles(found);
    setPictured(await picturesOf(app, found));
  }, (failure) => setError(String(failure.message ?? failure)));
  const [, setKnown] = useState(0);
  useEffect(() => {
    void load();
    return app.on('lineages', () => setKnown((n) => n + 1));
  }, []);
  const folders = useMemo(() => [...new Set((files ?? []).map((file) => file.folder))].sort(), [files]);
  const pool = (files ?? []).filter((file) => !folder || file.folder === folder);
  const list = query ? find(pool, (file) => `${file.name} ${file.folder} ${familyOf(app, file)}`, query, { limit: 200 }).map((hit) => hit.item) : pool.slice(0, 500);
  return html`<${PanelHead} app=${app} title=${title}><${IconButton} icon="refresh-cw" label=${t('refresh')} onClick=${() => { void load(); void app.reloadDefs(); }} /><//>
    <${SearchField} label=${t('models.search')} value=${query} onInput=${setQuery} />
    <div class="chips" role="group" aria-label=${t('models.folders')}>${['', ...folders].map((name) => html`<button type="button" key=${name} class="chip" aria-pressed=${folder === name} onClick=${() => setFolder(name)}>${name ? name.replaceAll('_', ' ') : t('models.all')}</button>`)}</div>
    <div class="panel-body">
      ${error ? html`<p class="none">${error}</p>` : files === null ? html`<p class="none">${t('loading')}</p>` : list.length ? list.map((file) => html`<${ModelRow} key=${keyOf(file)} app=${app} file=${file} pictured=${pictured.has(keyOf(file))} on=${shown === keyOf(file)} show=${() => setShown(shown === keyOf(file) ? '' : keyOf(file))} />`) : html`<p class="none">${t(query ? 'palette.none' : 'models.empty')}</p>`}
    </div>`;
}

/** @param {ModelFile} file */
const keyOf = (file) => `${file.folder}/${file.name}`;

/** @param {ModelFile} file */
const previewUrl = (file) => `api/experiment/models/preview/${encodeURIComponent(file.folder)}/${file.pathIndex ?? 0}/${encodeURIComponent(file.name)}`;

/** Which files have a picture. @param {any} app @param {ModelFile[]} files @returns {Promise<Set<string>>} */
async function picturesOf(app, files) {
  const folders = [...new Set(files.map((file) => file.folder))];
  const lists = await Promise.all(folders.map((folder) => app.api.json(`/model_pictures/${encodeURIComponent(folder)}`).then((/** @type {string[]} */ names) => names.map((name) => `${folder}/${name}`), () => [])));
  return new Set(lists.flat());
}

/** The family a file is of, as its header tells. @param {any} app @param {ModelFile} file @returns {string} */
function familyOf(app, file) {
  return app.lineages?.[file.folder]?.[file.name]?.title ?? '';
}

/** @param {{app: any, file: ModelFile, pictured: boolean, on: boolean, show: () => void}} props */
function ModelRow({ app, file, pictured, on, show }) {
  const { t } = app;
  const short = file.name.split('/').pop() ?? file.name;
  const about = [familyOf(app, file) || file.folder.replaceAll('_', ' '), bytes(file.size)].filter(Boolean).join(' · ');
  return html`<div class=${`model-row ${on ? 'on' : ''}`}>
    <div class="model-head">
      <button type="button" class="model-main" aria-expanded=${on} title=${file.name} onClick=${show}>
        <span class="model-pic">${pictured ? html`<img src=${previewUrl(file)} alt="" loading="lazy" />` : html`<${Icon} name="box" />`}</span>
        <span class="model-text"><b>${short.replace(/\.(safetensors|ckpt|pt|pth|gguf|bin)$/, '')}</b><span>${about}</span></span>
      </button>
      <${IconButton} icon="plus" label=${t('models.use')} disabled=${!(file.folder in LOADERS)} onClick=${() => use(app, file)} />
    </div>
    ${on ? html`<${ModelCard} app=${app} file=${file} pictured=${pictured} />` : null}
  </div>`;
}

/** @param {{app: any, file: ModelFile, pictured: boolean}} props */
function ModelCard({ app, file, pictured }) {
  const { t } = app;
  const [facts, setFacts] = useState(/** @type {any} */ (null));
  const [told, setTold] = useState(/** @type {Record<string, string>} */ ({}));
  const [saved, setSaved] = useState(/** @type {any[]} */ ([]));
  const [wrong, setWrong] = useState('');
  const ask = (/** @type {boolean} */ hash) => app.api.json(`/model_facts/${encodeURIComponent(file.folder)}?${new URLSearchParams({ filename: file.name, ...(hash ? { hash: 'true' } : {}) })}`).then(setFacts, (/** @type {Error} */ failure) => setWrong(failure.message));
  useEffect(() => {
    void ask(false);
    app.api.json(`/view_metadata/${encodeURIComponent(file.folder)}?filename=${encodeURIComponent(file.name)}`).then(setTold, () => {});
    void savedUses(app, file).then(setSaved);
  }, []);
  const open = usesOf(app, file);
  const lines = Object.entries(told).filter(([key, value]) => typeof value === 'string' && value.length < 400 && key !== 'format' && !key.startsWith('ss_bucket')).slice(0, 24);
  return html`<div class="model-card">
    ${pictured ? html`<img class="model-large" src=${previewUrl(file)} alt="" />` : null}
    <dl class="facts">
      <dt>${t('models.file')}</dt><dd>${file.name}</dd>
      ${wrong ? html`<dt>${t('models.kind')}</dt><dd>${t('models.unreadable', { why: wrong })}</dd>` : null}
      ${facts ? html`<dt>${t('models.kind')}</dt><dd>${facts.kind}</dd>` : null}
      ${familyOf(app, file) ? html`<dt>${t('models.family')}</dt><dd>${[familyOf(app, file), facts?.prediction].filter(Boolean).join(' · ')}</dd>` : null}
      ${facts?.parts.length ? html`<dt>${t('models.parts')}</dt><dd>${facts.parts.map((/** @type {any} */ one) => html`<span class="model-part">${one.role} <em>${t('models.million', { n: (one.parameters / 1e6).toFixed(one.parameters < 1e7 ? 1 : 0) })} · ${one.types[0]}</em></span>`)}</dd>` : null}
      ${facts ? html`<dt>${t('models.hash')}</dt><dd><${Hash} app=${app} hashes=${facts.hashes} ask=${() => ask(true)} /></dd>` : null}
      ${file.modified ? html`<dt>${t('models.modified')}</dt><dd>${ago(app, file.modified * (file.modified < 1e12 ? 1000 : 1))}</dd>` : null}
      <dt>${t('models.used')}</dt><dd class="model-uses">${open.map(({ doc, path, label }) => html`<button type="button" class="link" onClick=${() => { app.activate(doc); show(app, doc, path); }}>${doc.name.value} › ${label}</button>`)}
        ${saved.map((one) => html`<button type="button" class="link" onClick=${() => openSaved(app, one.path, one.name)}>${one.path.replace(/\.json$/, '')}</button>`)}
        ${open.length || saved.length ? null : t('models.unused')}</dd>
    </dl>
    ${lines.length ? html`<details class="model-told"><summary>${t('models.told')}</summary><dl class="facts">${lines.map(([key, value]) => html`<dt>${key.replace(/^(ss|modelspec)[._]/, '').replaceAll('_', ' ')}</dt><dd>${value}</dd>`)}</dl></details>` : null}
  </div>`;
}

/** The short form people quote; the whole hash is copied. @param {{app: any, hashes: Record<string, string>, ask: () => Promise<void>}} props */
function Hash({ app, hashes, ask }) {
  const { t } = app;
  const [busy, setBusy] = useState(false);
  if (busy) return html`<span class="faint">${t('models.hashing')}</span>`;
  if (!hashes.sha256) return html`<button type="button" class="link" onClick=${() => { setBusy(true); void ask().then(() => setBusy(false)); }}>${t('models.hashNow')}</button>`;
  const copy = () => navigator.clipboard?.writeText(hashes.sha256).then(() => app.ui.toast(t('models.copied'), { kind: 'ok', ms: 2000 }));
  return html`<button type="button" class="link hash" title=${hashes.sha256} onClick=${copy}>${hashes.AutoV2}<${Icon} name="copy" size=${12} /></button>`;
}

/** Saved workflows that name a file. @param {any} app @param {ModelFile} file @returns {Promise<any[]>} */
async function savedUses(app, file) {
  const named = JSON.stringify(file.name);
  const closed = app.files.saved.peek().filter((/** @type {any} */ one) => !app.docs.peek().some((/** @type {any} */ doc) => doc.file.peek() === one.path)).slice(0, 60);
  const found = await Promise.all(closed.map((/** @type {any} */ one) => app.files.read(one.path).then((/** @type {any} */ data) => JSON.stringify(data).includes(named), () => false)));
  return closed.filter((/** @type {any} */ _, /** @type {number} */ i) => found[i]);
}

/** Nodes of open documents that name a file, those of subgraphs too. @param {any} app @param {ModelFile} file @returns {{doc: any, path: string, label: string}[]} */
function usesOf(app, file) {
  return app.docs.value.flatMap((/** @type {any} */ doc) => [...executable({ graph: doc.flow.root, path: '' })]
    .filter(({ node }) => node.widgets.some((/** @type {any} */ widget) => widget.kind === 'combo' && valueOf(node, widget) === file.name))
    .map(({ place, node }) => ({ doc, path: place.path + node.id, label: node.label })));
}

/** Puts a file on a selected loader of its kind, or on a new one. @param {any} app @param {ModelFile} file */
function use(app, file) {
  const [type, name] = LOADERS[/** @type {keyof typeof LOADERS} */ (file.folder)];
  const doc = app.active.peek();
  if (!app.defs.get(type)) return app.ui.toast(app.t('models.noLoader', { type }), { kind: 'error' });
  doc.edit(app.t('models.use'), (/** @type {any} */ e) => {
    const selected = [...doc.selection.nodes].map((id) => doc.graph.node(id)).find((node) => node?.widgets.some((/** @type {any} */ widget) => widget.name === name));
    const node = selected ?? addNode(e, type, middle(app));
    setValue(e, node.id, name, file.name);
    doc.select({ nodes: [node.id] });
  });
}
