/** Numbers: drag sideways to change (Shift fine, Ctrl coarse), click to type a value or a sum. */

import { setValue } from '../graph/edit.js';
import { valueOf } from '../graph/model.js';
import { drawBox, drawLine, set } from './field.js';
import { evaluate, settle } from './expression.js';
import { round } from '../canvas/glyph.js';

/** @typedef {import('./field.js').Field} Field */
/** @typedef {import('./field.js').Target} Target */
/** @typedef {import('../canvas/stage.js').Stage} Stage */
/** @typedef {import('../graph/model.js').Widget} Widget */

const PIXELS = 4; // of drag for one step

/** @param {Widget} widget */
export function ruleOf(widget) {
  const { min, max, step, round: grain } = widget.options;
  return { min, max, step: step || (widget.type === 'INT' ? 1 : 0.1), round: grain, integer: widget.type === 'INT' };
}

/** @param {any} value @param {Widget} widget */
export function show(value, widget) {
  const n = Number(value);
  if (value === undefined || value === null || value === '' || Number.isNaN(n)) return String(value ?? '');
  if (widget.type === 'INT') return String(value);
  const usual = widget.options.precision ?? decimals(widget.options.step || widget.options.round || 0.01);
  return n.toFixed(Math.min(8, Math.max(1, usual, Math.min(decimals(n), 4))));
}

/** @param {number} step */
function decimals(step) {
  const text = String(step);
  const e = /e-(\d+)$/.exec(text);
  if (e) return Number(e[1]);
  const dot = text.indexOf('.');
  return dot < 0 ? 0 : text.length - dot - 1;
}

/** @param {Field} field */
function draw(field) {
  drawBox(field);
  const { look, box, widget, value, linked } = field;
  const { min, max } = widget.options;
  if (widget.options.display === 'slider' && !linked && max > min) {
    const share = Math.min(1, Math.max(0, (Number(value) - min) / (max - min)));
    const alpha = look.pen.globalAlpha;
    look.pen.globalAlpha = alpha * 0.3;
    look.pen.fillStyle = look.theme.accent;
    round(look.pen, box.x, box.y, Math.max(6, box.w * share), box.h, 5);
    look.pen.fill();
    look.pen.globalAlpha = alpha;
  }
  drawLine(field, show(value, widget));
}

/** @param {Stage} stage @param {Target} target @param {import('../tools/tool.js').Press} press @returns {import('../tools/tool.js').Tool} */
function press(stage, target, press) {
  const { node, widget, box } = target;
  const rule = ruleOf(widget);
  const start = Number(valueOf(node, widget)) || 0;
  /** @type {any} */ let gesture = null;
  let last = start, travel = 0, x = press.at.x;
  return {
    name: 'number',
    cursor: 'ew-resize',
    move(p) {
      if (!gesture) {
        if (Math.abs(p.screen.x - press.screen.x) < 4) return;
        gesture = stage.doc.gesture(stage.app.t('edit.set', { name: widget.label || widget.name }));
      }
      const pace = p.shift ? 0.1 : p.ctrl ? 10 : 1;
      travel += ((p.at.x - x) / PIXELS) * pace;
      x = p.at.x;
      const value = widget.options.display === 'slider' && !p.shift && rule.max > rule.min
        ? settle(rule.min + snap(((p.at.x - box.x) / box.w) * (rule.max - rule.min), rule.step), rule)
        : settle(start + snap(travel * rule.step, p.shift ? rule.step / 10 : rule.step), rule);
      if (value === last) return;
      last = value;
      gesture.edit((/** @type {any} */ e) => setValue(e, node.id, widget.name, value));
    },
    end(p) {
      if (gesture) gesture.done();
      else if (p.ctrl) stage.doc.select({ nodes: [node.id] }, 'toggle');
      else open(stage, target);
    },
    cancel() {
      gesture?.cancel();
    },
  };
}

/** @param {number} value @param {number} step */
function snap(value, step) {
  return step ? Math.round(value / step) * step : value;
}

/** @param {Stage} stage @param {Target} target */
function open(stage, target) {
  const { node, widget } = target;
  const input = document.createElement('input');
  input.type = 'text';
  input.inputMode = 'decimal';
  input.className = 'widget-input number';
  input.value = String(valueOf(node, widget) ?? '');
  const rule = ruleOf(widget);
  const read = () => {
    const value = evaluate(input.value);
    return value === null ? null : settle(value, rule);
  };
  input.addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowUp' && event.key !== 'ArrowDown') return;
    event.preventDefault();
    const step = rule.step * (event.shiftKey ? (rule.integer ? 1 : 0.1) : event.ctrlKey || event.metaKey ? 10 : 1);
    const base = read() ?? 0;
    input.value = String(settle(base + (event.key === 'ArrowUp' ? step : -step), rule));
  });
  stage.editor.open(target, input, () => {
    const value = read();
    if (value !== null && value !== valueOf(node, widget)) set(stage, target, value);
  });
  input.select();
}

/** @type {import('./field.js').Kind} */
export const number = { draw, press, open };
