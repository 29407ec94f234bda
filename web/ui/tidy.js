/** Automatic layout of the selection, or of everything, in a Worker. */

import { boxOf } from '../graph/shape.js';
import { setPositions } from '../graph/edit.js';

/** @param {any} app */
export async function tidy(app) {
  const doc = app.active.peek();
  const graph = doc.graph;
  const chosen = doc.selection.nodes.size > 1 ? doc.selection.nodes : new Set(graph.nodes.keys());
  const nodes = [...chosen].map((id) => graph.node(id)).filter((node) => node && !node.flags.pinned);
  if (nodes.length < 2) return;
  const boxes = nodes.map((node) => {
    const [x0, y0, x1, y1] = boxOf(node);
    return { id: node.id, w: x1 - x0, h: y1 - y0, x: x0, y: y0 };
  });
  const wires = [...graph.links.values()].filter((link) => chosen.has(link.from) && chosen.has(link.to)).map((link) => ({ from: link.from, to: link.to }));
  const rev = doc.rev.peek();
  const wired = new Set(wires.flatMap(({ from, to }) => [from, to]));
  const places = await inWorker({ boxes: wired.size ? boxes.filter((box) => wired.has(box.id)) : boxes, wires });
  if (rev !== doc.rev.peek()) return;
  if (wired.size) places.push(...below(boxes, places, wired));
  const x = Math.min(...boxes.map((box) => box.x));
  const y = Math.min(...boxes.map((box) => box.y));
  doc.edit(app.t('cmd.tidy'), (/** @type {any} */ e) => setPositions(e, places.map(([id, [px, py]]) => [id, [px + x, py + y + 30]])));
  if (chosen.size === graph.nodes.size) app.canvas?.fit();
}

/** Notes and other nodes without wires go in a row under the rest. @param {any[]} boxes @param {[any, [number, number]][]} places @param {Set<any>} wired @returns {[any, [number, number]][]} */
function below(boxes, places, wired) {
  const height = new Map(boxes.map((box) => [box.id, box.h]));
  const y = Math.max(...places.map(([id, at]) => at[1] + height.get(id))) + 60;
  let x = 0;
  return boxes.filter((box) => !wired.has(box.id)).sort((a, b) => a.x - b.x).map((box) => {
    const at = /** @type {[number, number]} */ ([x, y]);
    x += box.w + 40;
    return [box.id, at];
  });
}

/** @param {any} work @returns {Promise<[any, [number, number]][]>} */
function inWorker(work) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('../graph/tidy.js', import.meta.url), { type: 'module' });
    worker.onmessage = ({ data }) => {
      worker.terminate();
      resolve(data);
    };
    worker.onerror = (event) => {
      worker.terminate();
      reject(new Error(event.message));
    };
    worker.postMessage(work);
  });
}
