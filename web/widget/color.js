/** A colour: a swatch; the browser's own picker edits it. */

import { round } from '../canvas/glyph.js';
import { valueOf } from '../graph/model.js';
import { drawBox, drawLine, set } from './field.js';

/** @param {import('./field.js').Field} field */
function draw(field) {
  drawBox(field);
  const { look, box } = field;
  drawLine(field, String(field.value ?? ''), 34);
  round(look.pen, box.x + box.w - 28, box.y + 4, 20, box.h - 8, 3);
  look.pen.fillStyle = /^#[0-9a-f]{3,8}$/i.test(field.value) ? field.value : 'transparent';
  look.pen.fill();
  look.pen.strokeStyle = look.theme.faint;
  look.pen.lineWidth = 1;
  look.pen.stroke();
}

/** @param {import('../canvas/stage.js').Stage} stage @param {import('./field.js').Target} target */
function open(stage, target) {
  const input = document.createElement('input');
  input.type = 'color';
  input.className = 'widget-input';
  input.value = String(valueOf(target.node, target.widget) ?? '#ffffff');
  const before = input.value;
  stage.editor.open(target, input, () => {
    if (input.value !== before) set(stage, target, input.value);
  });
  input.click();
}

/** @type {import('./field.js').Kind} */
export const color = {
  draw,
  open,
  press: (stage, target) => ({ name: 'color', move() {}, end: (p) => (p.still ? open(stage, target) : undefined), cancel() {} }),
};
