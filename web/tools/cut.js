/** Alt+drag cuts every wire it crosses. */

import { crosses } from '../canvas/curve.js';
import { disconnect } from '../graph/edit.js';

/** Ids of the links that the path crosses. @param {import('../canvas/routes.js').Routes} routes @param {import('../canvas/camera.js').Point[]} path */
export function crossed(routes, path) {
  /** @type {Set<number>} */ const ids = new Set();
  for (let i = 0; i < routes.count; i++) {
    if (ids.has(routes.links[i].id)) continue;
    for (let j = 1; j < path.length; j++) {
      if (crosses(routes.ends, i * 4, path[j - 1], path[j])) {
        ids.add(routes.links[i].id);
        break;
      }
    }
  }
  return ids;
}

/**
 * @param {import('../canvas/stage.js').Stage} stage @param {import('./tool.js').Press} press
 * @param {(p: import('./tool.js').Press) => void} [still] what a press without a move means
 * @returns {import('./tool.js').Tool}
 */
export function cut(stage, press, still) {
  const path = [press.at];
  return {
    name: 'cut',
    cursor: 'crosshair',
    sense(p) {
      const last = path[path.length - 1];
      if (Math.hypot(p.at.x - last.x, p.at.y - last.y) * stage.camera.scale > 6) path.push(p.at);
    },
    move: () => stage.mark('over', 'cut'),
    end(p) {
      if (p.still) return still?.(p);
      path.push(p.at);
      stage.fresh();
      const ids = crossed(stage.routes, path);
      if (ids.size) stage.doc.edit(stage.app.t('edit.cut'), (/** @type {any} */ e) => ids.forEach((id) => disconnect(e, id)));
    },
    cancel() {},
    draw(look) {
      const { pen, theme } = look;
      pen.beginPath();
      path.forEach((q, i) => (i ? pen.lineTo(q.x, q.y) : pen.moveTo(q.x, q.y)));
      pen.setLineDash([6 / look.scale, 4 / look.scale]);
      pen.strokeStyle = theme.bad;
      pen.lineWidth = 2 / look.scale;
      pen.stroke();
      pen.setLineDash([]);
    },
  };
}
