/** App mode: the workflow as a form of the values its author chose, and its result; no graph in sight. */

import { html, useState } from '../vendor/preact.js';
import { setValue } from '../graph/edit.js';
import { widgetNamed } from '../graph/model.js';
import { toggleForm } from './context.js';
import { Icon } from './icon.js';
import { duration, mediaOf } from './media.js';
import { Value } from './value.js';

/** @typedef {{node: any, widget: import('../graph/model.js').Widget}} Entry */

/** What the form shows: the author's choice, or what most people would want. @param {any} doc @returns {Entry[]} */
function entriesOf(doc) {
  const root = doc.flow.root;
  const chosen = root.extra.linearData?.inputs;
  const find = (/** @type {any} */ id, /** @type {string} */ name) => {
    const node = root.node(id);
    const widget = node && widgetNamed(node, name);
    return node && widget ? [{ node, widget }] : [];
  };
  if (chosen) return chosen.flatMap((/** @type {any} */ [id, name]) => find(id, name));
  /** @param {Entry} entry what people change most comes first */
  const rank = ({ widget }) => (widget.kind === 'text' ? 0 : widget.options.image ? 1 : widget.options.seed ? 3 : 2);
  const likely = [...root.nodes.values()].sort((a, b) => a.pos[0] - b.pos[0] || a.pos[1] - b.pos[1]).flatMap((node) =>
    node.def?.virtual ? [] : node.widgets.filter((/** @type {any} */ widget) => (widget.kind === 'text' && widget.options.multiline) || widget.options.seed || widget.options.image || ['width', 'height', 'steps'].includes(widget.name)).map((/** @type {any} */ widget) => ({ node, widget })));
  return likely.sort((a, b) => rank(a) - rank(b));
}

/** @param {{app: any}} props */
export function Form({ app }) {
  const { t } = app;
  const doc = app.active.value;
  void doc.rev.value;
  const [editing, setEditing] = useState(false);
  const entries = entriesOf(doc).filter(({ node, widget }) => !node.inputs.some((/** @type {any} */ slot) => slot.widget?.name === widget.name && slot.link !== null));
  const running = doc.run.prompt.value !== null;
  const share = () => {
    const url = new URL(location.href);
    url.search = new URLSearchParams({ app: doc.file.value ?? '' }).toString();
    navigator.clipboard?.writeText(url.href).then(() => app.ui.toast(t('form.shared'), { kind: 'ok' }));
  };
  return html`<section class="form" aria-label=${t('cmd.form')}>
    <div class="form-side">
      <header><h2>${doc.name.value}</h2>
        <button type="button" class="button small" aria-pressed=${editing} onClick=${() => setEditing(!editing)}><${Icon} name=${editing ? 'check' : 'pencil'} size=${13} />${t(editing ? 'form.done' : 'form.edit')}</button>
        ${doc.file.value ? html`<button type="button" class="button small" onClick=${share}><${Icon} name="share-2" size=${13} />${t('form.share')}</button>` : null}
        <button type="button" class="button small" onClick=${() => (app.formOpen.value = false)}><${Icon} name="workflow" size=${13} />${t('form.graph')}</button>
      </header>
      ${editing ? html`<${Picker} app=${app} doc=${doc} entries=${entries} />` : html`<div class="form-fields">
        ${entries.map(({ node, widget }) => html`<${Value} key=${`${node.id}/${widget.name}`} app=${app} doc=${doc} node=${node} widget=${widget} big=${true} label=${labelOf(entries, node, widget)} onChange=${(/** @type {any} */ value) => doc.edit(t('edit.value'), (/** @type {any} */ e) => e.within(doc.flow.root, () => setValue(e, node.id, widget.name, value)))} />`)}
        ${entries.length ? null : html`<p class="none">${t('form.empty')}</p>`}
      </div>`}
      <footer><button type="button" class="button primary big" onClick=${() => app.commands.run('run')}><${Icon} name="play" />${t('run')}</button>
        <button type="button" class="button" disabled=${!running} onClick=${() => app.commands.run('stop')}><${Icon} name="square" />${t('cmd.stop')}</button></footer>
    </div>
    <${Result} app=${app} doc=${doc} />
  </section>`;
}

/** A value alone on its node is called as the node is. @param {Entry[]} entries @param {any} node @param {any} widget */
function labelOf(entries, node, widget) {
  const alone = entries.filter((entry) => entry.node === node).length === 1;
  const same = entries.filter((entry) => entry.widget.label === widget.label).length > 1;
  if (widget.name === 'text' && alone) return node.label;
  return same ? `${node.label} › ${widget.label}` : widget.label;
}

/** @param {{app: any, doc: any, entries: Entry[]}} props */
function Picker({ app, doc, entries }) {
  const { t } = app;
  const root = doc.flow.root;
  const toggle = (/** @type {any} */ node, /** @type {string} */ name) => {
    if (!root.extra.linearData?.inputs) doc.edit(t('widget.form'), (/** @type {any} */ e) => e.change({ g: '', op: 'graph=', set: { extra: { ...root.extra, linearData: { inputs: entries.map((entry) => [entry.node.id, entry.widget.name]), outputs: [] } } } }));
    toggleForm(app, doc, node.id, name);
  };
  return html`<div class="form-fields" role="group" aria-label=${t('form.pick')}>${[...root.nodes.values()].filter((node) => node.widgets.some((/** @type {any} */ widget) => !widget.silent)).map((node) => html`<fieldset key=${node.id}><legend>${node.label}</legend>
    ${node.widgets.filter((/** @type {any} */ widget) => !widget.silent && !widget.hidden).map((/** @type {any} */ widget) => html`<label class="check"><input type="checkbox" checked=${entries.some((entry) => entry.node === node && entry.widget.name === widget.name)} onChange=${() => toggle(node, widget.name)} />${widget.label}</label>`)}
  </fieldset>`)}</div>`;
}

/** @param {{app: any, doc: any}} props */
function Result({ app, doc }) {
  const { t } = app;
  const { label, value, max, done, total } = doc.run.progress.value;
  const running = doc.run.prompt.value !== null;
  void app.jobs.past.value;
  const media = mediaOf(Object.fromEntries(doc.run.outputs));
  const errors = doc.run.errors.value;
  const job = app.jobs.past.value.find((/** @type {any} */ one) => app.jobs.owners.get(one.id) === doc.id);
  const pictures = media.map((medium) => ({ url: app.api.viewUrl(medium.file), name: medium.file.filename, ...medium }));
  return html`<div class="form-result" aria-label=${t('form.result')}>
    ${running ? html`<div class="form-progress" role="status"><span>${label} ${max > 1 ? `${Math.round(value)} / ${max}` : ''}</span><div class="bar-line"><i style=${{ transform: `scaleX(${total ? (done + (max ? value / max : 0)) / total : 0})` }}></i></div></div>` : null}
    ${errors.length ? html`<div class="error-card">${errors.map((/** @type {any} */ error) => html`<p>${error.message}${error.details ? ` — ${error.details}` : ''}</p>`)}</div>` : null}
    ${media.length ? html`<div class=${`form-pictures n${Math.min(4, media.length)}`}>${media.slice(0, 8).map((medium, i) => html`<button type="button" onClick=${() => app.ui.lightbox(pictures, i)}>${medium.kind === 'image' ? html`<img src=${app.api.viewUrl(medium.file)} alt=${medium.file.filename} />` : medium.kind === 'video' ? html`<video src=${app.api.viewUrl(medium.file)} controls loop muted></video>` : html`<audio src=${app.api.viewUrl(medium.file)} controls></audio>`}</button>`)}</div>` : html`<p class="none">${t('form.noResult')}</p>`}
    ${job?.ms && !running ? html`<p class="faint">${duration(job.ms)}</p>` : null}
  </div>`;
}
