/** The two columns of ports in a subgraph: what comes in from outside, what goes out. */

import { INPUTS, OUTPUTS } from '../graph/model.js';
import { columnHeight, ioPos } from '../graph/shape.js';
import { NEAR } from './detail.js';
import { round } from './glyph.js';
import { dot } from './node.js';

/**
 * @param {import('./look.js').Look} look @param {import('../graph/model.js').Graph} graph @param {'in' | 'out'} side
 * @param {import('./stage.js').Wiring | null} wiring
 */
export function drawColumn(look, graph, side, wiring) {
  const { pen, theme } = look;
  const [x, y, w] = side === 'in' ? graph.inputBox : graph.outputBox;
  const ports = side === 'in' ? graph.inputs : graph.outputs;
  const height = columnHeight(graph, side);
  round(pen, x, y, w, height, 10);
  pen.fillStyle = theme.node;
  pen.globalAlpha = 0.6;
  pen.fill();
  pen.globalAlpha = 1;
  pen.setLineDash([5, 4]);
  pen.strokeStyle = theme.edge;
  pen.lineWidth = 1;
  pen.stroke();
  pen.setLineDash([]);
  if (look.lod !== NEAR) return;
  look.text(look.t(side === 'in' ? 'column.in' : 'column.out'), x + w / 2, y + 16, 'small', theme.faint, w - 12, 'center');
  const id = side === 'in' ? INPUTS : OUTPUTS;
  for (let i = 0; i <= ports.length; i++) {
    const [px, py] = ioPos(graph, side, i);
    const port = ports[i];
    const used = port ? [...graph.links.values()].some((link) => (side === 'in' ? link.from === id && link.fromSlot === i : link.to === id && link.toSlot === i)) : false;
    const usable = !wiring || (wiring.side === 'in') === (side === 'in');
    dot(look, px, py, port?.type ?? '*', used, usable);
    const words = port ? port.label || port.name : '+';
    look.text(words, side === 'in' ? px - 12 : px + 12, py, 'label', port ? theme.dim : theme.faint, w - 24, side === 'in' ? 'right' : 'left');
  }
}
