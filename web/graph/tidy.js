/** Automatic layout: nodes and wires in, positions out. Runs in a Worker (see the end); the function itself is pure. */

import { Graph as DagreGraph, layout as runDagre } from '../vendor/dagre.js';

/**
 * @typedef {{id: number|string, w: number, h: number}} Box with the title
 * @typedef {{from: number|string, to: number|string}} Wire
 */

/** @param {Box[]} boxes @param {Wire[]} wires @param {{gapX?: number, gapY?: number}} [gaps] @returns {[number|string, [number, number]][]} top left corners, the least being 0, 0 */
export function layout(boxes, wires, { gapX = 60, gapY = 36 } = {}) {
  const graph = new DagreGraph({ multigraph: true });
  graph.setGraph({ rankdir: 'LR', ranksep: gapX, nodesep: gapY, edgesep: 12, ranker: boxes.length > 400 ? 'longest-path' : 'network-simplex' });
  graph.setDefaultEdgeLabel(() => ({}));
  const ids = new Map(boxes.map((box, i) => [box.id, String(i)]));
  boxes.forEach((box, i) => graph.setNode(String(i), { width: box.w, height: box.h }));
  wires.forEach((wire, i) => {
    const [a, b] = [ids.get(wire.from), ids.get(wire.to)];
    if (a !== undefined && b !== undefined) graph.setEdge(a, b, {}, String(i));
  });
  runDagre(graph);
  const corners = boxes.map((box, i) => {
    const { x, y } = graph.node(String(i));
    return /** @type {[number, number]} */ ([x - box.w / 2, y - box.h / 2]);
  });
  const x0 = Math.min(...corners.map(([x]) => x));
  const y0 = Math.min(...corners.map(([, y]) => y));
  return boxes.map((box, i) => [box.id, [Math.round(corners[i][0] - x0), Math.round(corners[i][1] - y0)]]);
}

const scope = /** @type {any} */ (globalThis);
if (typeof scope.WorkerGlobalScope !== 'undefined' && scope instanceof scope.WorkerGlobalScope) {
  scope.onmessage = (/** @type {MessageEvent} */ { data }) => scope.postMessage(layout(data.boxes, data.wires, data.gaps));
}
