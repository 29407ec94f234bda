/** Box select: everything the box touches; with Shift it adds. */

import { cull } from '../canvas/detail.js';
import { rectOf } from '../canvas/camera.js';

/** @typedef {import('../canvas/stage.js').Stage} Stage */
/** @typedef {import('../canvas/camera.js').Rect} Rect */

/** What a box takes: nodes it touches, groups and reroutes wholly inside. @param {import('../graph/model.js').Graph} graph @param {Rect} box */
export function inBox(graph, box) {
  /** @type {number[]} */ const seen = [];
  const nodes = cull(graph.boxes, graph.count, box, seen).map((i) => graph.list[i].id);
  const groups = [...graph.groups.values()].filter(({ box: [x, y, w, h] }) => x >= box.x && y >= box.y && x + w <= box.x + box.w && y + h <= box.y + box.h).map((group) => group.id);
  const reroutes = [...graph.reroutes.values()].filter(({ pos: [x, y] }) => x >= box.x && y >= box.y && x <= box.x + box.w && y <= box.y + box.h).map((dot) => dot.id);
  return { nodes, groups, reroutes };
}

/** @param {Stage} stage @param {import('./tool.js').Press} press @param {(p: import('./tool.js').Press) => void} [still] what a press without a move means @returns {import('./tool.js').Tool} */
export function boxSelect(stage, press, still) {
  let to = press.at;
  return {
    name: 'box',
    cursor: 'crosshair',
    move(p) {
      to = p.at;
      stage.mark('over', 'box');
    },
    end(p) {
      if (p.still) still?.(p);
      else stage.doc.select(inBox(stage.graph, rectOf(press.at, to)), p.shift ? 'add' : 'set');
    },
    cancel() {},
    draw(look) {
      const { pen, theme } = look;
      const r = rectOf(press.at, to);
      pen.globalAlpha = 0.12;
      pen.fillStyle = theme.accent;
      pen.fillRect(r.x, r.y, r.w, r.h);
      pen.globalAlpha = 1;
      pen.strokeStyle = theme.accent;
      pen.lineWidth = 1 / look.scale;
      pen.strokeRect(r.x, r.y, r.w, r.h);
    },
  };
}
