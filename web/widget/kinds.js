/** The kinds of widgets by name. */

import { bool } from './bool.js';
import { button, custom } from './button.js';
import { color } from './color.js';
import { combo } from './combo.js';
import { upload } from './file.js';
import { number } from './number.js';
import { seed } from './seed.js';
import { markdown, text } from './text.js';

/** @typedef {import('./field.js').Kind} Kind */

/** @type {Record<string, Kind>} */
const KINDS = { number, text, toggle: bool, combo, control: seed, upload, color, markdown, button, custom };

/** @param {string} name @returns {Kind} */
export function kindOf(name) {
  return KINDS[name] ?? custom;
}

/** @param {import('./field.js').Field} field */
export function drawWidget(field) {
  kindOf(field.widget.kind).draw(field);
}

/** Whether a wire may give the widget its value. @param {import('../graph/model.js').Widget} widget */
export function takesLink(widget) {
  return widget.kind === 'number' || widget.kind === 'text' || widget.kind === 'toggle' || widget.kind === 'combo' || widget.kind === 'color';
}
