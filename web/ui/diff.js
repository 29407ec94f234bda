/** What is different between the open workflow and a saved version of it. */

import { html, useEffect, useState } from '../vendor/preact.js';
import { workflowFromJson } from '../graph/json.js';
import { valueOf } from '../graph/model.js';
import { Modal } from './dialogs.js';
import { Icon } from './icon.js';
import { show } from './errors.js';

/** @typedef {{kind: 'added'|'removed'|'changed', id: string, label: string, lines: {name: string, before: string, after: string}[]}} Difference */

/** @param {any} value */
const text = (value) => (typeof value === 'string' ? value : JSON.stringify(value) ?? '');

/** @param {any} node @returns {Record<string, string>} what one sees of a node, by name */
function facts(node) {
  /** @type {Record<string, string>} */ const out = {};
  const graph = node.graph;
  for (const widget of node.node.widgets) out[widget.label || widget.name] = text(valueOf(node.node, widget));
  for (const slot of node.node.inputs) {
    const link = graph.link(slot.link);
    const from = link && graph.node(link.from);
    out[`→ ${slot.label ?? slot.name}`] = from ? `${from.label} #${from.id}` : '';
  }
  if (!node.node.widgets.length && node.node.values !== undefined && !node.node.def) out.values = text(node.node.values);
  out.mode = ['', '', 'mute', '', 'bypass'][node.node.mode] ?? '';
  out.title = node.node.label;
  return out;
}

/** @param {any} before @param {any} after workflows @returns {Difference[]} */
export function differences(before, after) {
  /** @param {any} flow @returns {Map<string, any>} */
  const all = (flow) => new Map(flow.graphs().flatMap((/** @type {any} */ graph) => [...graph.nodes.values()].map((node) => [`${graph.id ? `${graph.name} / ` : ''}${node.id}`, { node, graph }])));
  const [old, now] = [all(before), all(after)];
  /** @type {Difference[]} */ const found = [];
  for (const [id, one] of now) {
    const other = old.get(id);
    if (!other || other.node.type !== one.node.type) found.push({ kind: 'added', id, label: one.node.label, lines: [] });
    else {
      const [a, b] = [facts(other), facts(one)];
      const lines = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((name) => (a[name] ?? '') !== (b[name] ?? '')).map((name) => ({ name, before: a[name] ?? '', after: b[name] ?? '' }));
      if (lines.length) found.push({ kind: 'changed', id, label: one.node.label, lines });
    }
  }
  for (const [id, one] of old) if (!now.has(id) || now.get(id).node.type !== one.node.type) found.push({ kind: 'removed', id, label: one.node.label, lines: [] });
  return found;
}

/** @param {{app: any, path?: string, done: (value?: any) => void}} props */
export function Diff({ app, path, done }) {
  const { t } = app;
  const doc = app.active.value;
  const file = path ?? doc.file.value;
  const [versions, setVersions] = useState(/** @type {string[]} */ ([]));
  const [chosen, setChosen] = useState('');
  const [found, setFound] = useState(/** @type {Difference[]|null} */ (null));
  const [data, setData] = useState(/** @type {any} */ (null));
  useEffect(() => void (file && app.files.versions(file).then(setVersions)), [file]);
  useEffect(() => {
    if (!file) return;
    const read = chosen ? app.files.readVersion(file, chosen) : app.files.read(file);
    read.then((/** @type {any} */ json) => {
      setData(json);
      setFound(differences(workflowFromJson(json, app.defs), doc.flow));
    }, () => setFound([]));
  }, [file, chosen]);
  const when = (/** @type {string} */ version) => new Date(version.replace(/\.json$/, '').replace(/T(\d\d)-(\d\d)-(\d\d)-(\d+)Z/, 'T$1:$2:$3.$4Z')).toLocaleString(app.words.language);
  return html`<${Modal} app=${app} title=${t('cmd.diff')} done=${done}>
    <div class="modal-body">
      ${file ? html`<p class="diff-pick"><label>${t('diff.pick')} <select class="field" value=${chosen} onChange=${(/** @type {any} */ event) => setChosen(event.target.value)}><option value="">${t('diff.saved')}</option>${versions.map((version) => html`<option value=${version}>${when(version)}</option>`)}</select></label>
        ${data ? html`<button type="button" class="button" onClick=${() => { done(); app.open({ ...data, id: crypto.randomUUID() }, { name: `${doc.name.value} (${chosen ? when(chosen) : t('diff.saved')})` }); }}>${t('diff.open')}</button>` : null}</p>` : html`<p class="none">${t('diff.none')}</p>`}
      ${found?.length === 0 ? html`<p class="none">${t('diff.same')}</p>` : null}
      ${(found ?? []).map((one) => html`<section class=${`difference ${one.kind}`} key=${one.id}>
        <h3><${Icon} name=${one.kind === 'added' ? 'plus' : one.kind === 'removed' ? 'minus' : 'pencil'} size=${13} />${one.kind === 'removed' ? one.label : html`<button type="button" class="link" onClick=${() => { done(); show(app, doc, one.id.split('/').pop()?.trim() ?? ''); }}>${one.label}</button>`}<em>#${one.id} ${t(`diff.${one.kind}`)}</em></h3>
        ${one.lines.map((line) => html`<p><span>${line.name}</span><del>${line.before}</del><ins>${line.after}</ins></p>`)}
      </section>`)}
    </div>
  <//>`;
}
