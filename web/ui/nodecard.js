/** A node type as one sees it before adding it: its ports, its values, what it does. */

import { html } from '../vendor/preact.js';
import { hueOf, isAny } from '../graph/types.js';

/** Text with stretches marked. @param {{text: string, marks: number[]}} props */
export function Marked({ text, marks }) {
  const parts = [];
  let from = 0;
  for (let i = 0; i < marks.length; i += 2) {
    const [start, end] = [marks[i], Math.min(marks[i + 1], text.length)];
    if (start >= text.length) break;
    parts.push(text.slice(from, start), html`<mark>${text.slice(start, end)}</mark>`);
    from = end;
  }
  return html`<span>${parts}${text.slice(from)}</span>`;
}

/** The colour of a type, as CSS. @param {string} type */
export function typeColor(type) {
  const first = String(type).split(',')[0];
  return isAny(type) ? 'var(--ink-3)' : `var(--type-${first.replace(/[^A-Z0-9_]/gi, '')}, hsl(${hueOf(first)} 45% 58%))`;
}

/** @param {{type: string}} props */
export function TypeDot({ type }) {
  return html`<i class="type-dot" style=${{ background: typeColor(type) }}></i>`;
}

/** @param {{app: any, def: import('../graph/defs.js').NodeDef}} props */
export function NodeCard({ app, def }) {
  const { t } = app;
  const sockets = def.inputs.filter((input) => input.socket);
  const values = def.widgets.filter((widget) => !widget.silent);
  return html`<div class="node-card">
    <h2>${def.title}</h2>
    <p class="node-card-type">${def.category}${def.deprecated ? html` <em>${t('node.deprecated')}</em>` : null}${def.experimental ? html` <em>${t('node.experimental')}</em>` : null}</p>
    <div class="mini-node" aria-hidden="true">
      <div class="mini-head">${def.title}</div>
      <div class="mini-ports">
        <div>${sockets.map((input) => html`<span><${TypeDot} type=${input.type} />${input.name}</span>`)}</div>
        <div>${def.outputs.map((output) => html`<span>${output.name}<${TypeDot} type=${output.type} /></span>`)}</div>
      </div>
      ${values.slice(0, 7).map((widget) => html`<div class="mini-value"><span>${widget.label}</span><b>${short(widget.options.default)}</b></div>`)}
      ${values.length > 7 ? html`<div class="mini-more">+${values.length - 7}</div>` : null}
    </div>
    ${def.description ? html`<p class="node-card-text">${def.description.split('\n\n').slice(0, 3).map((part) => html`<span>${prose(part)}</span>`)}</p>` : null}
    <p class="node-card-type">${def.type}${def.module && !['nodes', 'editor', 'subgraph'].includes(def.module) ? ` · ${def.module}` : ''}</p>
  </div>`;
}

/** @param {any} value */
function short(value) {
  const text = value === undefined || value === null ? '' : String(value);
  return text.length > 18 ? `${text.slice(0, 17)}…` : text;
}

/** A docstring's paragraph, its ``code`` as code. @param {string} text */
function prose(text) {
  return text.replace(/\s+/g, ' ').split(/``([^`]+)``|`([^`]+)`/).map((part, i) => (i % 3 ? (part ? html`<code>${part}</code>` : null) : part));
}
