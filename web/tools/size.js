/** Resizing a node or a group by its lower right corner, and moving a column of a subgraph's ports. */

import { minSize } from '../graph/shape.js';
import { resizeNode, setGroup } from '../graph/edit.js';

/** @typedef {import('../canvas/stage.js').Stage} Stage */
/** @typedef {import('./tool.js').Press} Press */

/** @param {Stage} stage @param {Press} press @param {import('../graph/model.js').Node} node @returns {import('./tool.js').Tool} */
export function sizeNode(stage, press, node) {
  const least = minSize(node);
  const from = [Math.max(node.size[0], least[0]), Math.max(node.size[1], least[1])];
  const gesture = stage.doc.gesture(stage.app.t('edit.resize'));
  return {
    name: 'size',
    cursor: 'nwse-resize',
    move(p) {
      const w = Math.max(least[0], Math.round(from[0] + p.at.x - press.at.x));
      const h = Math.max(least[1], Math.round(from[1] + p.at.y - press.at.y));
      if (w !== node.size[0] || h !== node.size[1]) gesture.edit((/** @type {any} */ e) => resizeNode(e, node.id, [w, h]));
    },
    end: () => gesture.done(),
    cancel: () => gesture.cancel(),
  };
}

/** @param {Stage} stage @param {Press} press @param {number} id @returns {import('./tool.js').Tool} */
export function sizeGroup(stage, press, id) {
  const group = stage.graph.groups.get(id);
  const [x, y, w, h] = group ? group.box : [0, 0, 0, 0];
  const gesture = stage.doc.gesture(stage.app.t('edit.resize'));
  return {
    name: 'size',
    cursor: 'nwse-resize',
    move(p) {
      const wide = Math.max(140, Math.round(w + p.at.x - press.at.x)), high = Math.max(80, Math.round(h + p.at.y - press.at.y));
      gesture.edit((/** @type {any} */ e) => setGroup(e, id, { box: [x, y, wide, high] }));
    },
    end: () => gesture.done(),
    cancel: () => gesture.cancel(),
  };
}

/** @param {Stage} stage @param {Press} press @param {'in' | 'out'} side @returns {import('./tool.js').Tool} */
export function moveColumn(stage, press, side) {
  const key = side === 'in' ? 'inputBox' : 'outputBox';
  const [x, y, w, h] = stage.graph[key];
  const gesture = stage.doc.gesture(stage.app.t('edit.move'));
  return {
    name: 'column',
    cursor: 'grabbing',
    move(p) {
      const box = [Math.round(x + p.at.x - press.at.x), Math.round(y + p.at.y - press.at.y), w, h];
      gesture.edit((/** @type {any} */ e) => e.change({ op: 'graph=', set: { [key]: box } }));
    },
    end: () => gesture.done(),
    cancel: () => gesture.cancel(),
  };
}
