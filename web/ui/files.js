/** Saving, opening and exporting documents. */

import { graphToPrompt } from '../graph/prompt.js';

/** @param {any} app */
export async function save(app) {
  const doc = app.active.peek();
  if (!doc.file.peek()) return saveAs(app);
  await write(app, doc, doc.file.peek());
}

/** @param {any} app */
export async function saveAs(app) {
  const doc = app.active.peek();
  const name = await app.ui.ask(app.t('save.ask'), doc.name.peek());
  if (!name?.trim()) return;
  const path = `${name.trim().replace(/\.json$/, '')}.json`;
  const taken = app.files.saved.peek().some((/** @type {any} */ file) => file.path === path);
  if (taken && path !== doc.file.peek() && !(await app.ui.confirm(app.t('save.replace', { name: path }), app.t('save.replaceYes')))) return;
  await write(app, doc, path);
}

/** @param {any} app @param {import('../store/doc.js').Doc} doc @param {string} path */
async function write(app, doc, path) {
  try {
    await app.files.write(path, doc.toJson());
    doc.file.value = path;
    doc.name.value = path.replace(/\.json$/, '').split('/').pop() ?? path;
    doc.dirty.value = false;
    await app.drafts.save(doc);
    app.ui.toast(app.t('save.done', { name: path }), { kind: 'ok', ms: 2500 });
  } catch (error) {
    app.ui.toast(app.t('save.failed', { why: error instanceof Error ? error.message : String(error) }), { kind: 'error' });
  }
}

/** @param {any} app */
export function chooseFiles(app) {
  const input = document.createElement('input');
  input.type = 'file';
  input.multiple = true;
  input.accept = '.json,.png,.webp,.jpg,.jpeg,.mp4,.webm,.flac,.mp3,.safetensors,.latent,image/*,video/*';
  input.className = 'spoken';
  input.onchange = () => input.files && app.ui.dropFiles(input.files);
  // Some browsers open the choice only for a field that is in the page.
  document.body.append(input);
  for (const over of ['change', 'cancel']) input.addEventListener(over, () => input.remove());
  input.click();
}

/** @param {Blob|string} content a blob, or the address of a file @param {string} name */
export function saveToDisk(content, name) {
  const url = typeof content === 'string' ? content : URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  if (typeof content !== 'string') setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** @param {any} data @param {string} name */
function saveJson(data, name) {
  saveToDisk(new Blob([JSON.stringify(data, null, 2)], { type: 'application/json' }), name);
}

/** @param {any} app */
export function download(app) {
  const doc = app.active.peek();
  saveJson(doc.toJson(), `${doc.name.peek()}.json`);
}

/** @param {any} app */
export function exportPrompt(app) {
  const doc = app.active.peek();
  saveJson(graphToPrompt(doc.flow, { keepText: true }), `${doc.name.peek()} (API).json`);
}

/** @param {any} app */
export function openWorkflow(app) {
  app.prefs.set('panel.open', 'workflows');
}

/** Opens a workflow saved on the server, or goes to its tab. @param {any} app @param {string} path @param {string} name */
export async function openSaved(app, path, name) {
  const open = app.docs.peek().find((/** @type {any} */ doc) => doc.file.peek() === path);
  if (open) return app.activate(open);
  return app.open(await app.files.read(path), { name, file: path });
}
