/** What went wrong, in words, and the way to the node it happened at. */

import { html } from '../vendor/preact.js';
import { Icon, IconButton } from './icon.js';
import { PanelHead } from './panels.js';
import { sentence } from '../store/run.js';

/** @param {{app: any, title: string}} props */
export function Errors({ app, title }) {
  const { t } = app;
  const doc = app.active.value;
  void doc.rev.value;
  const errors = doc.run.errors.value;
  const missing = missingTypes(doc);
  return html`<${PanelHead} app=${app} title=${title}>${errors.length ? html`<${IconButton} icon="eraser" label=${t('cmd.clearErrors')} onClick=${() => doc.run.clearErrors()} />` : null}<//>
    <div class="panel-body">
      ${missing.length ? html`<div class="error-card"><h3><${Icon} name="package" />${t('errors.missing')}</h3>${missing.map(([type, paths]) => html`<p><button type="button" class="link" onClick=${() => show(app, doc, paths[0])}>${type}</button> × ${paths.length}</p>`)}<p class="faint">${t('errors.missingHelp')}</p></div>` : null}
      ${errors.map((/** @type {any} */ error) => html`<${Card} app=${app} doc=${doc} error=${error} />`)}
      ${errors.length || missing.length ? null : html`<p class="none">${t('errors.none')}</p>`}
    </div>`;
}

/** Node types of a document that nobody defines. @param {any} doc @returns {[string, string[]][]} */
export function missingTypes(doc) {
  /** @type {Map<string, string[]>} */ const found = new Map();
  for (const node of doc.flow.root.nodes.values()) if (!node.def) found.set(node.type, [...(found.get(node.type) ?? []), String(node.id)]);
  return [...found];
}

/** @param {any} app @param {any} doc @param {string} path */
export function show(app, doc, path) {
  const id = doc.goTo(path);
  if (id !== undefined) app.canvas?.centerOn(id);
}

/** @param {{app: any, doc: any, error: import('../store/run.js').RunError}} props */
function Card({ app, doc, error }) {
  const { t } = app;
  const label = error.path ? nodeLabel(doc, error.path) : '';
  return html`<div class="error-card">
    ${error.path ? html`<h3><button type="button" class="link" onClick=${() => show(app, doc, error.path)}><${Icon} name="locate" size=${14} />${label}</button>${error.input ? html`<span>${error.input}</span>` : null}</h3>` : null}
    <p>${error.path ? sentence(error.message) : error.message}</p>
    ${error.details && error.details !== error.message && error.details !== error.input ? html`<p class="faint">${error.details}</p>` : null}
    ${error.traceback?.length ? html`<details><summary>${t('errors.trace')}</summary><pre>${error.traceback.join('')}</pre></details>` : null}
    <div class="error-acts"><button type="button" class="button small" onClick=${() => navigator.clipboard?.writeText([label, error.message, error.details, ...(error.traceback ?? [])].filter(Boolean).join('\n'))}><${Icon} name="copy" size=${13} />${t('cmd.copy')}</button></div>
  </div>`;
}

/** @param {any} doc @param {string} path */
export function nodeLabel(doc, path) {
  let graph = doc.flow.root;
  const labels = [];
  for (const part of path.split(':')) {
    const node = graph?.node(part);
    labels.push(node?.label ?? part);
    graph = node && doc.flow.subs.get(node.type);
  }
  return labels.join(' › ');
}
