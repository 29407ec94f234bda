/** A node's run: a ring that fills, a bar under the title, the time it took, what the node has to say, or a red frame with what went wrong. */

import { collapsedWidth, geometry, TITLE } from '../graph/shape.js';
import { FAR, NEAR } from './detail.js';
import { round } from './glyph.js';
import { drawDotsOf } from './node.js';

const WIDE = 380; // words over a node may be this wide, whatever its own width
const LEADING = 15;
const MOST = 8; // lines

/** @typedef {{state: 'idle'|'wait'|'run'|'done'|'cached'|'error', value?: number, max?: number, ms?: number, bytes?: number, error?: string}} State */

/** @param {import('./look.js').Look} look @param {import('../graph/model.js').Node} node @param {State} state @param {number} slowest milliseconds of the slowest node, 0 = no times are shown @param {string} [note] */
export function drawRun(look, node, state, slowest, note = '') {
  if (state.state === 'idle') return;
  look.counters.visited++;
  const [x, y] = node.pos;
  const folded = Boolean(node.flags.collapsed);
  const shape = geometry(node);
  const box = { x, y: y - TITLE, w: folded ? collapsedWidth(node) : shape.width, h: TITLE + (folded ? 0 : shape.height) };
  if (note && state.state !== 'error' && look.lod === NEAR) bubble(look, { ...box, y: box.y - 12 }, note, look.theme.node, look.theme.text, look.theme.edge);
  if (state.state === 'run') running(look, box, state);
  else if (state.state === 'error') failed(look, box, state);
  else if (look.lod === NEAR) return finished(look, box, state, slowest);
  if (look.lod === NEAR) drawDotsOf(look, node);
}

/** @param {import('./look.js').Look} look @param {import('./camera.js').Rect} box @param {State} state */
function running(look, box, state) {
  const { pen, theme } = look;
  const share = state.max ? Math.min(1, (state.value ?? 0) / state.max) : 0;
  outline(look, box, theme.run, 2);
  if (look.lod === FAR) return;
  pen.fillStyle = theme.run;
  pen.fillRect(box.x + 1, box.y + TITLE - 3, (box.w - 2) * share, 3);
  if (look.lod !== NEAR) return;
  const cx = box.x + box.w - 17, cy = box.y + TITLE / 2;
  pen.beginPath();
  pen.arc(cx, cy, 10.5, 0, 2 * Math.PI);
  pen.fillStyle = theme.title;
  pen.fill();
  pen.lineWidth = 3;
  pen.beginPath();
  pen.arc(cx, cy, 7, 0, 2 * Math.PI);
  pen.strokeStyle = theme.edge;
  pen.stroke();
  pen.beginPath();
  pen.arc(cx, cy, 7, -Math.PI / 2, -Math.PI / 2 + Math.max(0.12, share) * 2 * Math.PI);
  pen.strokeStyle = theme.run;
  pen.stroke();
  if (state.max && state.max > 1) badge(look, look.t('run.steps', { value: Math.round(state.value ?? 0), max: state.max }), box, theme.run);
}

/** @param {import('./look.js').Look} look @param {import('./camera.js').Rect} box @param {State} state */
function failed(look, box, state) {
  const { pen, theme } = look;
  outline(look, box, theme.bad, 2.5);
  if (look.lod !== NEAR || !state.error) return;
  bubble(look, box, state.error, theme.bad, theme.dark ? '#1a0c0c' : '#fff', theme.bad);
}

/** Words on a ground of their own above a node, in as many lines as they need. @param {import('./look.js').Look} look @param {import('./camera.js').Rect} box @param {string} words @param {string} ground @param {string} ink @param {string} edge */
function bubble(look, box, words, ground, ink, edge) {
  const { pen } = look;
  const lines = bubbleLines(look, box.w, words);
  const width = Math.max(...lines.map((line) => look.width(line, 'small'))) + 20, height = lines.length * LEADING + 8;
  const y = box.y - 6 - height;
  round(pen, box.x, y, width, height, 5);
  pen.fillStyle = ground;
  pen.fill();
  pen.strokeStyle = edge;
  pen.lineWidth = 1;
  pen.stroke();
  lines.forEach((line, i) => look.text(line, box.x + 10, y + 4 + LEADING * (i + 0.5), 'small', ink, width));
}

/** The first line of what is said, wrapped; of very long words, their start. @param {import('./look.js').Look} look @param {number} wide of the node @param {string} words */
function bubbleLines(look, wide, words) {
  const lines = look.lines(words.split('\n')[0], 'small', Math.max(wide, WIDE) - 20, MOST + 1);
  return lines.length > MOST ? [...lines.slice(0, MOST - 1), `${lines[MOST - 1]} …`] : lines;
}

/** The time and memory a node took, and a bar as long as its share of the slowest. @param {import('./look.js').Look} look @param {import('./camera.js').Rect} box @param {State} state @param {number} slowest */
function finished(look, box, state, slowest) {
  if (!slowest) return;
  const words = state.state !== 'done' || state.ms === undefined ? '' : [time(state.ms), state.bytes ? size(state.bytes) : ''].filter(Boolean).join(' · ');
  if (!words) return;
  badge(look, words, box, look.theme.faint);
  const { pen, theme } = look;
  pen.fillStyle = theme.run;
  pen.globalAlpha = 0.75;
  pen.fillRect(box.x + 8, box.y - 2.5, (box.w - 16) * Math.min(1, (state.ms ?? 0) / slowest), 2);
  pen.globalAlpha = 1;
}

/** Words above the right corner. @param {import('./look.js').Look} look @param {string} words @param {import('./camera.js').Rect} box @param {string} colour */
function badge(look, words, box, colour) {
  look.text(words, box.x + box.w - 2, box.y - 9, 'small', colour, box.w, 'right');
}

/** @param {import('./look.js').Look} look @param {import('./camera.js').Rect} box @param {string} colour @param {number} width */
function outline(look, box, colour, width) {
  const { pen } = look;
  pen.strokeStyle = colour;
  pen.lineWidth = Math.max(width, 2 / look.scale);
  if (look.lod === FAR) return pen.strokeRect(box.x, box.y, box.w, box.h);
  round(pen, box.x - 1, box.y - 1, box.w + 2, box.h + 2, 9);
  pen.stroke();
}

/** @param {number} ms */
export function time(ms) {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s` : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

/** @param {number} bytes */
export function size(bytes) {
  return bytes < 2 ** 20 ? `${Math.round(bytes / 1024)} KB` : bytes < 2 ** 30 ? `${Math.round(bytes / 2 ** 20)} MB` : `${(bytes / 2 ** 30).toFixed(1)} GB`;
}
