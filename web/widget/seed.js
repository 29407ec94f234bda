/** What happens to the seed after a run: keep, random, +1, -1, and a button that brings the last one back. */

import { round } from '../canvas/glyph.js';
import { valueOf } from '../graph/model.js';
import { set } from './field.js';

/** @typedef {import('./field.js').Field} Field */
/** @typedef {import('./field.js').Target} Target */
/** @typedef {CanvasRenderingContext2D} Pen */

const MODES = ['fixed', 'randomize', 'increment', 'decrement'];
const CELL = 26;

/** The widget whose value this one controls: the one before it. @param {Target} target */
function controlled({ node, widget }) {
  return node.widgets[node.widgets.indexOf(widget) - 1];
}

/** Left edge of the cells. @param {import('../canvas/camera.js').Rect} box */
function cellsAt(box) {
  return box.x + box.w - CELL * 5;
}

/** @param {Field} field */
function draw({ look, box, widget, value, linked }) {
  const { pen, theme } = look;
  const y = box.y + box.h / 2;
  look.text(look.t('seed.after'), box.x + 8, y + 0.5, 'small', theme.faint, box.w - CELL * 5 - 12);
  const x = cellsAt(box);
  round(pen, x, box.y, CELL * 4, box.h, 5);
  pen.fillStyle = theme.field;
  pen.fill();
  MODES.forEach((mode, i) => {
    const on = value === mode && !linked;
    if (on) {
      const alpha = pen.globalAlpha;
      pen.globalAlpha = alpha * 0.28;
      pen.fillStyle = theme.accent;
      round(pen, x + i * CELL + 1, box.y + 1, CELL - 2, box.h - 2, 4);
      pen.fill();
      pen.globalAlpha = alpha;
    }
    icon(pen, mode, x + (i + 0.5) * CELL, y, on ? theme.text : theme.faint);
  });
  icon(pen, 'recall', x + 4.5 * CELL, y, theme.faint);
}

/** @param {Pen} pen @param {string} name @param {number} x @param {number} y @param {string} colour */
function icon(pen, name, x, y, colour) {
  pen.strokeStyle = pen.fillStyle = colour;
  pen.lineWidth = 1.4;
  pen.beginPath();
  if (name === 'fixed') {
    pen.rect(x - 4, y - 1, 8, 5.5);
    pen.moveTo(x - 2.6, y - 1);
    pen.arc(x, y - 2.2, 2.6, Math.PI, 0);
    pen.lineTo(x + 2.6, y - 1);
  } else if (name === 'randomize') {
    pen.roundRect(x - 5, y - 5, 10, 10, 2);
    for (const [dx, dy] of [[-2, -2], [2, 2], [0, 0]]) {
      pen.moveTo(x + dx + 0.7, y + dy);
      pen.arc(x + dx, y + dy, 0.7, 0, 2 * Math.PI);
    }
  } else if (name === 'recall') {
    pen.arc(x, y, 4.2, -2.6, 1.9);
    pen.moveTo(x - 4.8, y - 5);
    pen.lineTo(x - 3.8, y - 1.6);
    pen.lineTo(x - 0.6, y - 2.6);
  } else {
    pen.moveTo(x - 4, y);
    pen.lineTo(x + 4, y);
    if (name === 'increment') {
      pen.moveTo(x, y - 4);
      pen.lineTo(x, y + 4);
    }
  }
  pen.stroke();
}

/** @param {import('../canvas/stage.js').Stage} stage @param {Target} target @param {import('../canvas/camera.js').Point} at */
function click(stage, target, at) {
  const cell = Math.floor((at.x - cellsAt(target.box)) / CELL);
  if (cell >= 0 && cell < 4) return set(stage, target, MODES[cell]);
  const seed = controlled(target);
  if (cell !== 4 || !seed) return;
  const last = stage.lastSent(target.node, seed.name);
  if (last === undefined) return stage.app.ui.toast(stage.app.t('seed.none'), { kind: 'info' });
  set(stage, { ...target, widget: seed }, last);
}

/** @type {import('./field.js').Kind} */
export const seed = {
  draw,
  press: (stage, target, press) => ({ name: 'seed', move() {}, end: (p) => (p.still ? click(stage, target, press.at) : undefined), cancel() {} }),
  open(stage, target) {
    const now = MODES.indexOf(String(valueOf(target.node, target.widget)));
    set(stage, target, MODES[(now + 1) % MODES.length]);
  },
};
