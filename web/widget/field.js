/** What all one-line widgets share: the box, the label at the left, the value at the right. */

import { round } from '../canvas/glyph.js';
import { setValue } from '../graph/edit.js';

/**
 * @typedef {object} Field a widget to draw
 * @property {import('../canvas/look.js').Look} look
 * @property {import('../graph/model.js').Node} node
 * @property {import('../graph/model.js').Widget} widget
 * @property {import('../canvas/camera.js').Rect} box in graph units
 * @property {boolean} linked its value comes over a wire
 * @property {any} value
 */

/**
 * @typedef {object} Target a widget that was pressed
 * @property {import('../graph/model.js').Node} node
 * @property {import('../graph/model.js').Widget} widget
 * @property {import('../canvas/camera.js').Rect} box
 */

/**
 * @typedef {object} Kind how one kind of widget draws and acts
 * @property {(field: Field) => void} draw
 * @property {(stage: import('../canvas/stage.js').Stage, target: Target, press: import('../tools/tool.js').Press) => import('../tools/tool.js').Tool | null} press
 * @property {(stage: import('../canvas/stage.js').Stage, target: Target) => void} [open] the DOM editor, as for the keyboard
 */

/** @param {Field} field */
export function drawBox({ look, box, linked }) {
  const { pen, theme } = look;
  const alpha = pen.globalAlpha;
  if (linked) pen.globalAlpha = alpha * 0.4;
  round(pen, box.x, box.y, box.w, box.h, 5);
  pen.fillStyle = theme.field;
  pen.fill();
  pen.strokeStyle = theme.fieldEdge;
  pen.lineWidth = 1;
  pen.stroke();
  pen.globalAlpha = alpha;
}

/** Label and value on one line; the value may have at most 62 % of it. @param {Field} field @param {string} value @param {number} [right] room kept at the right end @param {string} [colour] of the value */
export function drawLine({ look, widget, box, linked }, value, right = 8, colour = look.theme.text) {
  const { theme } = look;
  const y = box.y + box.h / 2 + 0.5;
  const label = widget.label || widget.name;
  const room = box.w - 8 - right;
  const shown = linked ? '' : value;
  const taken = shown ? Math.min(room * 0.62, look.width(shown, 'value')) : 0;
  look.text(label, box.x + 8, y, 'label', linked ? theme.faint : theme.dim, room - taken);
  if (shown) look.text(shown, box.x + box.w - right, y, 'value', colour, Math.max(room * 0.62, room - look.width(label, 'label') - 8), 'right');
}

/** A small "open" mark. @param {Field} field */
export function drawChevron({ look, box, linked }) {
  if (linked) return;
  const { pen, theme } = look;
  const x = box.x + box.w - 12, y = box.y + box.h / 2;
  pen.beginPath();
  pen.moveTo(x - 3.2, y - 1.6);
  pen.lineTo(x, y + 1.8);
  pen.lineTo(x + 3.2, y - 1.6);
  pen.strokeStyle = theme.faint;
  pen.lineWidth = 1.4;
  pen.stroke();
}

/** Sets a widget's value as one undo entry. @param {import('../canvas/stage.js').Stage} stage @param {Target} target @param {any} value */
export function set(stage, target, value) {
  const { node, widget } = target;
  stage.doc.edit(stage.app.t('edit.set', { name: widget.label || widget.name }), (/** @type {any} */ e) => setValue(e, node.id, widget.name, value));
}
