/** Quick connect: from one node to another, every free input that an output fits. */

import { connect, freeSocket } from '../graph/edit.js';
import { equalTypes, fits } from '../graph/types.js';
import { toSegment } from '../canvas/curve.js';
import { nodeOf } from '../canvas/pick.js';

/** @typedef {import('../canvas/stage.js').Stage} Stage */
/** @typedef {import('../graph/model.js').Node} Node */

/** Which output goes to which input: same type before merely fitting, each input once. @param {Node} from @param {Node} to */
export function pairs(from, to) {
  /** @type {{slot: number, to: number}[]} */ const found = [];
  const free = to.inputs.map((slot, i) => ({ slot, i })).filter(({ slot }) => (slot.link === null || slot.link === undefined) && !slot.widget);
  for (const same of [true, false]) {
    from.outputs.forEach((out, i) => {
      if (found.some((pair) => pair.slot === i)) return;
      const match = free.find(({ slot, i: at }) => !found.some((pair) => pair.to === at) && (same ? equalTypes(out.type, slot.type) : fits(out.type, slot.type) && slot.type !== '*'));
      if (match) found.push({ slot: i, to: match.i });
    });
  }
  return found;
}

/** Wires nodes one after the other, left to right. @param {Stage} stage @param {Node[]} nodes @returns {number} links made */
export function quickConnect(stage, nodes) {
  let made = 0;
  stage.doc.edit(stage.app.t('wire.quick'), (/** @type {any} */ e) => {
    for (let i = 1; i < nodes.length; i++) {
      const from = nodes[i - 1], to = nodes[i];
      const list = pairs(from, to);
      for (const pair of list) if (connect(e, { node: from.id, slot: pair.slot }, { node: to.id, slot: pair.to })) made++;
      if (list.length || !from.outputs.length) continue;
      const free = freeSocket(stage.graph, to.id, 'in', from.outputs[0].type);
      if (free && connect(e, { node: from.id, slot: 0 }, { node: to.id, ...free })) made++;
    }
  });
  return made;
}

/** Alt+right drag from node to node. @param {Stage} stage @param {import('./tool.js').Press} press @param {Node} node @returns {import('./tool.js').Tool} */
export function quickDrag(stage, press, node) {
  let to = press.at;
  return {
    name: 'quick',
    cursor: 'crosshair',
    move(p) {
      to = p.at;
      stage.mark('over', 'quick');
    },
    end(p) {
      const other = nodeOf(stage.pick(p.at.x, p.at.y));
      if (other && other !== node) quickConnect(stage, [node, other]);
    },
    cancel() {},
    draw(look) {
      const { pen, theme } = look;
      if (toSegment(to.x, to.y, press.at.x, press.at.y, press.at.x, press.at.y) < 2) return;
      pen.beginPath();
      pen.moveTo(press.at.x, press.at.y);
      pen.lineTo(to.x, to.y);
      pen.strokeStyle = theme.accent;
      pen.lineWidth = 2.5 / look.scale;
      pen.stroke();
    },
  };
}
