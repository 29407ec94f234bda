/** Yes or no: a switch; a click turns it. */

import { round } from '../canvas/glyph.js';
import { valueOf } from '../graph/model.js';
import { drawBox, drawLine, set } from './field.js';

/** @param {import('./field.js').Field} field */
function draw(field) {
  drawBox(field);
  const { look, box, widget, linked } = field;
  const on = Boolean(field.value);
  const words = on ? widget.options.on : widget.options.off;
  drawLine(field, words ? String(words) : '', 42);
  if (linked) return;
  const { pen, theme } = look;
  const x = box.x + box.w - 34, y = box.y + box.h / 2 - 6;
  round(pen, x, y, 26, 12, 6);
  pen.fillStyle = on ? theme.accent : theme.faint;
  const alpha = pen.globalAlpha;
  if (!on) pen.globalAlpha = alpha * 0.6;
  pen.fill();
  pen.globalAlpha = alpha;
  pen.beginPath();
  pen.arc(on ? x + 20 : x + 6, y + 6, 4.2, 0, 2 * Math.PI);
  pen.fillStyle = '#fff';
  pen.fill();
}

/** @param {import('../canvas/stage.js').Stage} stage @param {import('./field.js').Target} target */
function open(stage, target) {
  set(stage, target, !valueOf(target.node, target.widget));
}

/** @type {import('./field.js').Kind} */
export const bool = {
  draw,
  open,
  press: (stage, target) => ({ name: 'switch', move() {}, end: (p) => (p.still ? open(stage, target) : undefined), cancel() {} }),
};
