/** One input over many values, or two against each other, and the results as a grid with labels. */

import { html, useMemo, useState } from '../vendor/preact.js';
import { executable } from '../graph/prompt.js';
import { valueOf } from '../graph/model.js';
import { Modal } from './dialogs.js';
import { nodeLabel } from './errors.js';

/** @typedef {{key: string, path: string, name: string, label: string, widget: import('../graph/model.js').Widget, value: any}} Target */

/** Values written as lines, or as "1..10 step 2". @param {string} text @param {import('../graph/model.js').Widget} widget @returns {any[]} */
export function readValues(text, widget) {
  const range = /^\s*(-?[\d.]+)\s*\.\.\s*(-?[\d.]+)(?:\s*step\s*([\d.]+))?\s*$/.exec(text);
  if (range && widget.kind === 'number') {
    const [from, to] = [Number(range[1]), Number(range[2])];
    const step = Number(range[3] ?? 1) || 1;
    const n = Math.min(1000, Math.floor(Math.abs(to - from) / step + 1e-9) + 1);
    return Array.from({ length: n }, (_, i) => Number((from + Math.sign(to - from || 1) * i * step).toFixed(9)));
  }
  const lines = text.split(widget.kind === 'number' ? /[\n,;]/ : '\n').map((line) => line.trim()).filter(Boolean);
  if (widget.kind === 'number') return lines.map(Number).filter(Number.isFinite).map((value) => (widget.options.precision === 0 ? Math.round(value) : value));
  if (widget.kind === 'toggle') return lines.map((line) => /^(1|true|on|yes)$/i.test(line));
  return lines;
}

/** Everything that can be swept. @param {any} doc @returns {Target[]} */
function targetsOf(doc) {
  return [...executable({ graph: doc.flow.root, path: '' })].flatMap(({ place, node }) =>
    node.widgets.filter((/** @type {any} */ widget) => !widget.silent && !node.inputs.some((/** @type {any} */ slot) => slot.widget?.name === widget.name && slot.link !== null)).map((/** @type {any} */ widget) => {
      const path = place.path + node.id;
      return { key: `${path}/${widget.name}`, path, name: widget.name, label: `${nodeLabel(doc, path)} › ${widget.label}`, widget, value: valueOf(node, widget) };
    }));
}

/** @param {Target|undefined} target */
function suggestion(target) {
  if (!target) return '';
  if (target.widget.kind === 'combo') return (target.widget.options.values ?? []).slice(0, 6).join('\n');
  if (target.widget.options.seed) return '1..4';
  return target.widget.kind === 'toggle' ? 'on\noff' : String(target.value ?? '');
}

/** @param {{app: any, path?: string, name?: string, done: (value?: any) => void}} props */
export function Sweep({ app, path, name, done }) {
  const { t } = app;
  const doc = app.active.value;
  const targets = useMemo(() => targetsOf(doc), [doc]);
  const first = targets.find((one) => one.path === path && one.name === name) ?? targets.find((one) => one.widget.options.seed) ?? targets[0];
  const [x, setX] = useState(first?.key ?? '');
  const [xs, setXs] = useState(suggestion(first));
  const [y, setY] = useState('');
  const [ys, setYs] = useState('');
  const find = (/** @type {string} */ key) => targets.find((one) => one.key === key);
  const across = find(x);
  const down = find(y);
  const xValues = across ? readValues(xs, across.widget) : [];
  const yValues = down ? readValues(ys, down.widget) : [null];
  const n = xValues.length * yValues.length;
  const go = async () => {
    if (!across || !n) return;
    const cells = yValues.flatMap((yv, row) => xValues.map((xv, column) => ({ xv, yv, row, column })));
    const id = crypto.randomUUID();
    const ids = await app.jobs.run(doc, {
      count: cells.length,
      change: (/** @type {any} */ prompt, /** @type {number} */ i) => {
        const { xv, yv, row, column } = cells[i];
        prompt[across.path].inputs[across.name] = xv;
        if (down) prompt[down.path].inputs[down.name] = yv;
        return { id, row, column, x: xv, y: yv, xLabel: across.label, yLabel: down?.label ?? '' };
      },
    });
    done();
    if (ids.length) void app.ui.dialog('sweepGrid', { id });
  };
  const field = (/** @type {string} */ label, /** @type {string} */ key, /** @type {(v: string) => void} */ setKey, /** @type {string} */ values, /** @type {(v: string) => void} */ setValues, /** @type {boolean} */ none) => html`<div class="sweep-axis">
    <label>${label}<select class="field" value=${key} onChange=${(/** @type {any} */ event) => { setKey(event.target.value); setValues(suggestion(find(event.target.value))); }}>${none ? html`<option value="">${t('sweep.nothing')}</option>` : null}${targets.map((one) => html`<option value=${one.key} key=${one.key}>${one.label}</option>`)}</select></label>
    ${key ? html`<label>${t('sweep.values')}<textarea class="field" rows="5" value=${values} placeholder=${t('sweep.hint')} onInput=${(/** @type {any} */ event) => setValues(event.target.value)}></textarea><em>${t('sweep.hint')}</em></label>` : null}
  </div>`;
  return html`<${Modal} app=${app} title=${t('cmd.sweep')} done=${done}>
    <div class="modal-body sweep">${field(t('sweep.input'), x, setX, xs, setXs, false)}${field(t('sweep.second'), y, setY, ys, setYs, true)}</div>
    <footer class="modal-foot"><span class="faint sweep-total">${t('sweep.total', { n })}</span><button type="button" class="button" onClick=${() => done()}>${t('cancel')}</button><button type="button" class="button primary" disabled=${!n || n > 500} onClick=${go}>${t('sweep.go')}</button></footer>
  <//>`;
}
