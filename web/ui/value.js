/** A widget's value as a native form field: in the outline, in app mode, in the sweep dialog. */

import { html, useId, useState } from '../vendor/preact.js';
import { valueOf } from '../graph/model.js';
import { Icon } from './icon.js';
import { uploadInput } from './drop.js';

/** @param {{app: any, doc: any, node: any, widget: import('../graph/model.js').Widget, label?: string, onChange: (value: any) => void, big?: boolean}} props */
export function Value({ app, doc, node, widget, label, onChange, big = false }) {
  const id = useId();
  const value = valueOf(node, widget);
  void doc;
  const tall = widget.kind === 'text' && widget.options.multiline;
  return html`<div class=${`value ${tall ? 'tall' : ''} ${big ? 'big' : ''}`} title=${widget.tooltip ?? ''}><label for=${id}>${label ?? (widget.kind === 'control' ? app.t('seed.after') : widget.label)}</label><${Field} id=${id} app=${app} widget=${widget} value=${value} onChange=${onChange} /></div>`;
}

/** @param {{id: string, app: any, widget: import('../graph/model.js').Widget, value: any, onChange: (value: any) => void}} props */
export function Field({ id, app, widget, value, onChange }) {
  const { kind, options } = widget;
  if (kind === 'toggle') return html`<input id=${id} type="checkbox" class="switch" role="switch" checked=${Boolean(value)} onChange=${(/** @type {any} */ event) => onChange(event.target.checked)} />`;
  if (kind === 'combo' || kind === 'control') return html`<${Combo} id=${id} app=${app} widget=${widget} value=${value} onChange=${onChange} />`;
  if (kind === 'color') return html`<input id=${id} type="color" value=${String(value)} onChange=${(/** @type {any} */ event) => onChange(event.target.value)} />`;
  if (kind === 'number') return html`<${NumberField} id=${id} t=${app.t} options=${options} value=${value} onChange=${onChange} />`;
  if (options.multiline || kind === 'markdown') return html`<textarea id=${id} rows="4" placeholder=${options.placeholder ?? ''} value=${String(value ?? '')} onChange=${(/** @type {any} */ event) => onChange(event.target.value)}></textarea>`;
  return html`<input id=${id} type="text" value=${value === undefined ? '' : String(value)} onChange=${(/** @type {any} */ event) => onChange(event.target.value)} />`;
}

/** @param {{id: string, t: (key: string) => string, options: Record<string, any>, value: any, onChange: (value: number) => void}} props */
function NumberField({ id, t, options, value, onChange }) {
  const slider = options.display === 'slider' && Number.isFinite(options.min) && Number.isFinite(options.max);
  const set = (/** @type {any} */ event) => {
    const number = Number(event.target.value);
    if (Number.isFinite(number)) onChange(Math.min(options.max ?? Infinity, Math.max(options.min ?? -Infinity, options.precision === 0 ? Math.round(number) : number)));
  };
  return html`<span class="number">${slider ? html`<input type="range" tabindex="-1" aria-hidden="true" min=${options.min} max=${options.max} step=${options.step} value=${value} onInput=${set} />` : null}
    <input id=${id} type="number" min=${options.min} max=${options.max} step=${options.precision === 0 ? (options.step ?? 1) : 'any'} value=${value} onChange=${set} />
    ${options.seed ? html`<button type="button" class="icon-button" title=${t('value.random')} aria-label=${t('value.random')} onClick=${() => onChange(Math.floor(Math.random() * Math.min(options.max ?? 2 ** 50, 2 ** 50)))}><${Icon} name="dices" /></button>` : null}</span>`;
}

/** @param {{id: string, app: any, widget: import('../graph/model.js').Widget, value: any, onChange: (value: any) => void}} props */
function Combo({ id, app, widget, value, onChange }) {
  const values = widget.options.values ?? [];
  const [busy, setBusy] = useState(false);
  const known = values.includes(value);
  const upload = async (/** @type {any} */ event) => {
    const [file] = event.target.files;
    if (!file) return;
    setBusy(true);
    try {
      const name = await uploadInput(app, file);
      if (!values.includes(name)) values.push(name);
      onChange(name);
    } catch (error) {
      app.ui.toast(error instanceof Error ? error.message : String(error), { kind: 'error' });
    } finally {
      setBusy(false);
    }
  };
  return html`<span class="combo"><select id=${id} value=${String(value ?? '')} aria-invalid=${!known && values.length > 0} onChange=${(/** @type {any} */ event) => onChange(values.find((/** @type {any} */ one) => String(one) === event.target.value) ?? event.target.value)}>
    ${known ? null : html`<option value=${String(value ?? '')}>${String(value ?? '')}</option>`}
    ${values.map((/** @type {any} */ one) => html`<option value=${String(one)} key=${String(one)}>${widget.kind === 'control' ? app.t(`control.${one}`) : String(one)}</option>`)}
  </select>${widget.options.upload ? html`<label class="icon-button" title=${app.t('upload')}><${Icon} name=${busy ? 'loader' : 'upload'} /><input type="file" class="spoken" aria-label=${app.t('upload')} onChange=${upload} /></label>` : null}</span>`;
}
