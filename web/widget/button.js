/** A push button, and what is drawn for a kind nobody knows. */

import { round } from '../canvas/glyph.js';
import { drawBox, drawLine } from './field.js';

/** @typedef {import('./field.js').Field} Field */

/** @param {Field} field @param {string} words */
export function drawButton({ look, box }, words) {
  const { pen, theme } = look;
  round(pen, box.x, box.y, box.w, box.h, 5);
  pen.fillStyle = theme.title;
  pen.fill();
  pen.strokeStyle = theme.fieldEdge;
  pen.lineWidth = 1;
  pen.stroke();
  look.text(words, box.x + box.w / 2, box.y + box.h / 2 + 0.5, 'label', theme.dim, box.w - 16, 'center');
}

/** @type {import('./field.js').Kind} */
export const button = {
  draw: (field) => drawButton(field, field.widget.label || field.widget.name),
  press: (stage, target) => ({
    name: 'button',
    move() {},
    end: (p) => (p.still ? target.widget.options.run?.(stage.app, target.node) : undefined),
    cancel() {},
  }),
};

/** @type {import('./field.js').Kind} */
export const custom = {
  draw(field) {
    drawBox(field);
    const value = field.value;
    drawLine({ ...field, box: { ...field.box, h: Math.min(field.box.h, 20) } }, value === undefined || value === null ? '' : typeof value === 'object' ? '{…}' : String(value));
  },
  press: () => null,
};
