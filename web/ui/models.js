/** The model library: files by folder, with picture, size, and where they are used. */

import { html, useEffect, useMemo, useState } from '../vendor/preact.js';
import { find } from '../graph/find.js';
import { addNode, setValue } from '../graph/edit.js';
import { valueOf } from '../graph/model.js';
import { Icon, IconButton } from './icon.js';
import { PanelHead, SearchField } from './panels.js';
import { ago, bytes } from './media.js';
import { middle } from './drop.js';

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
  const [query, setQuery] = useState('');
  const [folder, setFolder] = useState('');
  const [shown, setShown] = useState(/** @type {ModelFile|null} */ (null));
  const [error, setError] = useState('');
  const load = () => listModels(app).then(setFiles, (failure) => setError(String(failure.message ?? failure)));
  useEffect(() => void load(), []);
  const folders = useMemo(() => [...new Set((files ?? []).map((file) => file.folder))].sort(), [files]);
  const pool = (files ?? []).filter((file) => !folder || file.folder === folder);
  const list = query ? find(pool, (file) => `${file.name} ${file.folder}`, query, { limit: 200 }).map((hit) => hit.item) : pool.slice(0, 500);
  return html`<${PanelHead} app=${app} title=${title}><${IconButton} icon="refresh-cw" label=${t('refresh')} onClick=${() => { void load(); void app.reloadDefs(); }} /><//>
    <${SearchField} label=${t('models.search')} value=${query} onInput=${setQuery} />
    <div class="chips" role="group" aria-label=${t('models.folders')}>${['', ...folders].map((name) => html`<button type="button" key=${name} class="chip" aria-pressed=${folder === name} onClick=${() => setFolder(name)}>${name ? name.replaceAll('_', ' ') : t('models.all')}</button>`)}</div>
    <div class="panel-body">
      ${error ? html`<p class="none">${error}</p>` : files === null ? html`<p class="none">${t('loading')}</p>` : list.length ? list.map((file) => html`<${ModelRow} key=${`${file.folder}/${file.name}`} app=${app} file=${file} on=${shown === file} show=${() => setShown(shown === file ? null : file)} />`) : html`<p class="none">${t('models.empty')}</p>`}
    </div>`;
}

/** @param {ModelFile} file */
const previewUrl = (file) => `api/experiment/models/preview/${encodeURIComponent(file.folder)}/${file.pathIndex ?? 0}/${encodeURIComponent(file.name)}`;

/** @param {{app: any, file: ModelFile, on: boolean, show: () => void}} props */
function ModelRow({ app, file, on, show }) {
  const { t } = app;
  const short = file.name.split('/').pop() ?? file.name;
  const [pictured, setPictured] = useState(true);
  return html`<div class=${`model-row ${on ? 'on' : ''}`}>
    <button type="button" class="model-main" aria-expanded=${on} onClick=${show}>
      <span class="model-pic">${pictured && on ? html`<img src=${previewUrl(file)} alt="" loading="lazy" onError=${() => setPictured(false)} />` : html`<${Icon} name="box" />`}</span>
      <span class="model-text"><b>${short.replace(/\.(safetensors|ckpt|pt|pth|gguf|bin)$/, '')}</b><span>${[file.folder.replaceAll('_', ' '), bytes(file.size)].filter(Boolean).join(' · ')}</span></span>
    </button>
    <${IconButton} icon="plus" label=${t('models.use')} disabled=${!(file.folder in LOADERS)} onClick=${() => use(app, file)} />
    ${on ? html`<${ModelCard} app=${app} file=${file} />` : null}
  </div>`;
}

/** @param {{app: any, file: ModelFile}} props */
function ModelCard({ app, file }) {
  const { t } = app;
  const [told, setTold] = useState(/** @type {Record<string, string>|null} */ (null));
  useEffect(() => void app.api.json(`/view_metadata/${encodeURIComponent(file.folder)}?filename=${encodeURIComponent(file.name)}`).then(setTold, () => setTold({})), []);
  const places = usesOf(app, file);
  const facts = Object.entries(told ?? {}).filter(([key, value]) => typeof value === 'string' && value.length < 200 && !key.startsWith('ss_bucket')).slice(0, 12);
  return html`<dl class="facts">
    <dt>${t('models.file')}</dt><dd>${file.name}</dd>
    ${file.modified ? html`<dt>${t('models.modified')}</dt><dd>${ago(app, file.modified * (file.modified < 1e12 ? 1000 : 1))}</dd>` : null}
    ${facts.map(([key, value]) => html`<dt>${key.replace(/^(ss|modelspec)[._]/, '')}</dt><dd>${value}</dd>`)}
    <dt>${t('models.used')}</dt><dd>${places.length ? places.map(({ doc, path, label }) => html`<button type="button" class="link" onClick=${() => { app.activate(doc); const id = doc.goTo(path); if (id !== undefined) app.canvas?.centerOn(id); }}>${doc.name.value} › ${label}</button> `) : t('models.unused')}</dd>
  </dl>`;
}

/** Nodes of open documents that name a file. @param {any} app @param {ModelFile} file @returns {{doc: any, path: string, label: string}[]} */
function usesOf(app, file) {
  return app.docs.value.flatMap((/** @type {any} */ doc) => [...doc.flow.root.nodes.values()].filter((node) => node.widgets.some((/** @type {any} */ widget) => widget.kind === 'combo' && valueOf(node, widget) === file.name)).map((node) => ({ doc, path: String(node.id), label: node.label })));
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
