/** Groups: a tinted frame with a title, behind everything. */

import { FAR, NEAR } from './detail.js';
import { round } from './glyph.js';
import { tint } from './tint.js';

export const GROUP_TITLE = 34;

/** @typedef {import('../graph/model.js').Group} Group */

/** @param {import('./look.js').Look} look @param {Group} group @param {boolean} chosen */
export function drawGroup(look, group, chosen) {
  const { pen, theme, scale } = look;
  const [x, y, w, h] = group.box;
  const colours = tint(theme, group.color || '#3f789e');
  pen.fillStyle = colours.wash;
  pen.strokeStyle = chosen ? theme.accent : colours.line;
  pen.lineWidth = Math.max(chosen ? 2 : 1, 1 / scale);
  if (look.lod === FAR) {
    pen.fillRect(x, y, w, h);
    pen.strokeRect(x, y, w, h);
    return;
  }
  round(pen, x, y, w, h, 10);
  pen.fill();
  pen.stroke();
  if (look.lod !== NEAR) return;
  look.text(group.title, x + 14, y + GROUP_TITLE / 2 + 1, 'group', colours.ink, w - 28);
  pen.strokeStyle = colours.line;
  pen.lineWidth = 1.5;
  pen.beginPath();
  pen.moveTo(x + w - 5, y + h - 14);
  pen.lineTo(x + w - 14, y + h - 5);
  pen.stroke();
}
