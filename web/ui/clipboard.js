/** Copy and paste: a copied part is text, a small workflow file, so it goes between tabs, browsers and chats. */

import { copyItems, pasteFragment } from '../graph/copy.js';
import { removeItems } from '../graph/edit.js';
import { fromJson } from '../file/read.js';
import { inField } from './keys.js';

/** @param {any} app @returns {string|null} */
function selectedText(app) {
  const doc = app.active.peek();
  const { nodes, groups } = doc.selection;
  if (!nodes.size && !groups.size) return null;
  app.clip = copyItems(doc.graph, { nodes: [...nodes], groups: [...groups] });
  return JSON.stringify(app.clip);
}

/** @param {any} app */
function removeSelected(app) {
  const doc = app.active.peek();
  doc.edit(app.t('cmd.cut'), (/** @type {any} */ e) => removeItems(e, { nodes: [...doc.selection.nodes], groups: [...doc.selection.groups] }));
}

/** @param {any} app */
export async function copy(app) {
  const text = selectedText(app);
  if (text) await navigator.clipboard?.writeText(text).catch(() => {});
}

/** @param {any} app */
export async function cut(app) {
  await copy(app);
  removeSelected(app);
}

/** @param {any} app @param {{links?: boolean, at?: [number, number]}} options */
export async function paste(app, options) {
  const text = await navigator.clipboard?.readText().catch(() => null);
  pasteData(app, (text && fromJson(text).workflow) || app.clip, options);
}

/** @param {any} app @param {any} data @param {{links?: boolean, at?: [number, number]}} options */
export function pasteData(app, data, { links = false, at } = {}) {
  if (!data) return;
  const doc = app.active.peek();
  try {
    const made = doc.edit(app.t('cmd.paste'), (/** @type {any} */ e) => pasteFragment(e, data, { at: at ?? app.canvas?.cursor ?? [0, 0], links }));
    doc.select(made);
  } catch (error) {
    app.ui.toast(app.t('paste.failed', { why: error instanceof Error ? error.message : String(error) }), { kind: 'error' });
  }
}

/** @param {any} app */
export function listenToClipboard(app) {
  let links = false;
  const elsewhere = (/** @type {Event} */ event) => inField(event.target) || document.querySelector('dialog[open]') !== null || (getSelection()?.toString() ?? '') !== '';
  document.addEventListener('keydown', (event) => {
    links = event.shiftKey;
  }, true);
  for (const kind of /** @type {const} */ (['copy', 'cut'])) {
    document.addEventListener(kind, (event) => {
      const text = elsewhere(event) ? null : selectedText(app);
      if (!text) return;
      event.clipboardData?.setData('text/plain', text);
      event.preventDefault();
      if (kind === 'cut') removeSelected(app);
    });
  }
  document.addEventListener('paste', (event) => {
    if (elsewhere(event)) return;
    const files = [...(event.clipboardData?.files ?? [])];
    event.preventDefault();
    if (files.length) return void app.ui.dropFiles(files, { at: app.canvas?.cursor });
    const { workflow, prompt } = fromJson(event.clipboardData?.getData('text/plain') ?? '');
    if (prompt) app.open(prompt);
    else pasteData(app, workflow ?? app.clip, { links });
  });
}
