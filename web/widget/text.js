/** Text: one line, or a box of several with a text area laid over it while it is edited. */

import { valueOf } from '../graph/model.js';
import { drawBox, drawLine, set } from './field.js';

/** @typedef {import('./field.js').Field} Field */

/** @param {Field} field */
function draw(field) {
  drawBox(field);
  const { look, box, widget, linked } = field;
  const value = String(field.value ?? '');
  if (!widget.options.multiline) return drawLine(field, value);
  const inner = { x: box.x + 8, y: box.y + 6, w: box.w - 16, h: box.h - 10 };
  if (linked) return look.text(widget.label || widget.name, inner.x, inner.y + 8, 'label', look.theme.faint, inner.w);
  if (value) look.paragraph(value, inner, 'text', look.theme.text);
  else look.paragraph(widget.options.placeholder || widget.label || widget.name, inner, 'text', look.theme.faint);
}

/** @param {import('../canvas/stage.js').Stage} stage @param {import('./field.js').Target} target */
function open(stage, target) {
  const { node, widget } = target;
  const many = Boolean(widget.options.multiline) || widget.kind === 'markdown';
  const input = document.createElement(many ? 'textarea' : 'input');
  input.className = many ? 'widget-input area' : 'widget-input';
  input.spellcheck = false;
  input.value = String(valueOf(node, widget) ?? '');
  const before = input.value;
  stage.editor.open(target, input, () => {
    if (input.value !== before) set(stage, target, input.value);
  });
  if (many) input.setSelectionRange(input.value.length, input.value.length);
  else input.select();
}

/** @type {import('./field.js').Kind} */
export const text = {
  draw,
  open,
  press: (stage, target) => ({ name: 'text', move() {}, end: (p) => (p.still ? open(stage, target) : undefined), cancel() {} }),
};

/** A line of markdown as the words alone. @param {string} line */
export function words(line) {
  const emphasis = /(^|[^\w*])([*_])(?=\S)(.+?)(?<=\S)\2(?=\W|$)/g;
  return line.replace(/^#{1,6}\s+/, '').replace(/\*\*|__|`/g, '').replace(emphasis, '$1$3').replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/^\s*[-*]\s+/, '• ');
}

/** @param {Field} field */
function drawMarkdown({ look, box, value }) {
  const lines = String(value ?? '').split('\n');
  let y = box.y + 4;
  for (const line of lines) {
    const heading = /^#{1,6}\s+/.test(line);
    const font = heading ? 'title' : 'label';
    const room = Math.floor((box.y + box.h - y) / 17);
    if (room < 1) return;
    const rows = look.lines(words(line), font, box.w - 8, room);
    for (const row of rows) {
      if (row) look.text(row, box.x + 4, y + 9, font, heading ? look.theme.text : look.theme.dim, box.w);
      y += 17;
    }
  }
}

/** A note: shown as text, edited on a double click. @type {import('./field.js').Kind} */
export const markdown = {
  draw: drawMarkdown,
  open,
  press: () => null,
};
