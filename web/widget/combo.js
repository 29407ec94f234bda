/** One of a list. The list opens over the canvas; with more than eight items it has a filter. */

import { valueOf } from '../graph/model.js';
import { drawBox, drawChevron, drawLine, set } from './field.js';

/** @typedef {import('../canvas/stage.js').Stage} Stage */
/** @typedef {import('./field.js').Target} Target */

const SHOWN = 200; // elements at most, however long the list
const FILTER_FROM = 8;

/** @param {import('./field.js').Field} field */
function draw(field) {
  drawBox(field);
  const { values, remote } = field.widget.options;
  const lost = !remote && !field.linked && Array.isArray(values) && values.length > 0 && !values.includes(field.value) && field.value !== undefined;
  drawLine(field, String(field.value ?? ''), 20, lost ? field.look.theme.bad : undefined);
  drawChevron(field);
}

/** Items that hold every word of `query`, those that begin with it first. @param {string[]} items @param {string} query @returns {string[]} */
export function filter(items, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return items;
  const found = items.filter((item) => words.every((word) => item.toLowerCase().includes(word)));
  const head = (/** @type {string} */ item) => (item.toLowerCase().startsWith(words[0]) ? 0 : 1);
  return found.sort((a, b) => head(a) - head(b));
}

/** @param {Stage} stage @param {Target} target */
function open(stage, target) {
  const { node, widget } = target;
  const items = (widget.options.values ?? []).map(String);
  const value = String(valueOf(node, widget) ?? '');
  const panel = document.createElement('div');
  panel.className = 'widget-list';
  const list = document.createElement('div');
  list.setAttribute('role', 'listbox');
  list.setAttribute('aria-label', widget.label || widget.name);
  list.tabIndex = -1;
  const box = document.createElement('input');
  box.type = 'text';
  box.placeholder = stage.app.t('list.filter');
  box.setAttribute('aria-label', stage.app.t('list.filter'));
  if (items.length > FILTER_FROM) panel.append(box);
  panel.append(list);
  let shown = items, at = Math.max(0, items.indexOf(value));
  const pick = (/** @type {string} */ item) => {
    stage.editor.close();
    const index = items.indexOf(item);
    const raw = widget.options.values[index];
    if (raw !== valueOf(node, widget)) set(stage, target, raw);
  };
  const fill = () => {
    const from = Math.max(0, Math.min(at - SHOWN / 2, shown.length - SHOWN));
    list.replaceChildren(...shown.slice(from, from + SHOWN).map((/** @type {string} */ item, /** @type {number} */ i) => row(item, item === value, from + i === at, () => pick(item))));
    if (!shown.length) list.append(row(stage.app.t('list.none'), false, false, () => {}));
    list.querySelector('.at')?.scrollIntoView({ block: 'nearest' });
  };
  box.addEventListener('input', () => {
    shown = filter(items, box.value);
    at = 0;
    fill();
  });
  panel.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step) {
      at = Math.max(0, Math.min(shown.length - 1, at + step));
      fill();
      event.preventDefault();
    } else if (event.key === 'Enter' && shown[at] !== undefined) {
      pick(shown[at]);
      event.preventDefault();
    }
  });
  fill();
  stage.editor.open(target, panel, null, items.length > FILTER_FROM ? box : list);
  list.querySelector('.at')?.scrollIntoView({ block: 'center' });
}

/** @param {string} item @param {boolean} chosen @param {boolean} at @param {() => void} pick */
function row(item, chosen, at, pick) {
  const element = document.createElement('div');
  element.setAttribute('role', 'option');
  element.setAttribute('aria-selected', String(chosen));
  element.className = `${chosen ? 'chosen' : ''} ${at ? 'at' : ''}`;
  element.textContent = item;
  element.title = item;
  element.addEventListener('pointerdown', (event) => event.preventDefault());
  element.addEventListener('click', pick);
  return element;
}

/** @type {import('./field.js').Kind} */
export const combo = {
  draw,
  open,
  press: (stage, target) => ({ name: 'combo', move() {}, end: (p) => (p.still ? open(stage, target) : undefined), cancel() {} }),
};
