/** What the canvas does besides drawing: fit, search, menus, opening things, walking along wires. */

import { addNode, linksOf } from '../graph/edit.js';
import { INPUTS, OUTPUTS } from '../graph/model.js';
import { slotPos } from '../graph/shape.js';
import { bounds } from './mini.js';

/** @typedef {import('./stage.js').Stage} Stage */
/** @typedef {import('./pick.js').Hit} Hit */
/** @typedef {import('../tools/tool.js').Press} Press */
/** @typedef {import('../graph/model.js').Node} Node */
/** @typedef {import('../graph/model.js').NodeId} NodeId */

/** Shows the nodes given, or the selection, or everything. @param {Stage} stage @param {Iterable<NodeId>} [ids] */
export function fit(stage, ids) {
  const all = bounds(stage.graph, ids);
  if (!all) return;
  stage.camera.fit(all, 1);
  stage.moved('jump');
}

/** Brings a node into view, without a jump when it is there already. @param {Stage} stage @param {NodeId} id */
export function reveal(stage, id) {
  const box = bounds(stage.graph, [id]);
  if (!box) return;
  const view = stage.camera.visible(-24);
  if (box.x >= view.x && box.y >= view.y && box.x + box.w <= view.x + view.w && box.y + box.h <= view.y + view.h) return;
  stage.camera.centre(box.x + box.w / 2, box.y + box.h / 2);
  stage.moved('jump');
}

/** The search palette at a point; the node picked goes there. @param {Stage} stage @param {Press} [p] */
export function search(stage, p) {
  const at = p?.at ?? stage.pointer;
  const screen = p?.screen ?? stage.camera.toScreen(at.x, at.y);
  let picked = 0; // with Shift+Enter the palette stays, and the next node goes a little below
  stage.app.ui.palette({
    screen: [screen.x, screen.y],
    at: [at.x, at.y],
    onPick: (/** @type {string} */ type) => {
      const node = stage.doc.edit(stage.app.t('edit.add', { type }), (/** @type {any} */ e) => place(stage, e, type, { x: at.x + 30 * picked, y: at.y + 30 * picked }, null));
      picked++;
      if (node) stage.doc.select({ nodes: [node.id] });
    },
  });
}

/**
 * Adds a node with the pointer at its title, or with its sockets of one side there, clear of other nodes.
 * @param {Stage} stage @param {any} e @param {string} type @param {{x: number, y: number}} at @param {'in' | 'out' | null} side
 */
export function place(stage, e, type, at, side) {
  const node = /** @type {Node} */ (addNode(e, type, [Math.round(at.x), Math.round(at.y)]));
  const [w] = node.size;
  const x = side === 'out' ? at.x - w - 20 : side === 'in' ? at.x + 20 : at.x - 40;
  const y = side ? at.y - 14 : at.y + 15;
  e.change({ op: 'node=', id: node.id, set: { pos: [Math.round(x), Math.round(y)] } });
  void stage;
  return node;
}

/** @param {Stage} stage @param {Hit} hit @param {Press} p */
export function menu(stage, hit, p) {
  const at = [p.at.x, p.at.y];
  const { doc, app } = stage;
  const node = 'node' in hit ? hit.node : null;
  if (node && !doc.selection.nodes.has(node.id)) doc.select({ nodes: [node.id] });
  const target = hit.kind === 'io' ? { kind: 'slot', node: hit.side === 'in' ? INPUTS : OUTPUTS, side: hit.side, slot: hit.index }
    : hit.kind === 'socket' && hit.index >= 0 ? { kind: 'slot', node: hit.node.id, side: hit.side, slot: hit.index }
    : hit.kind === 'widget' ? { kind: 'widget', node: hit.node.id, name: hit.widget.name, at }
    : node ? { kind: 'node', id: node.id, at }
    : hit.kind === 'wire' ? { kind: 'link', id: hit.link, at }
    : hit.kind === 'group' || hit.kind === 'groupcorner' ? { kind: 'group', id: hit.id, at }
    : hit.kind === 'reroute' ? { kind: 'reroute', id: hit.id, at }
    : { kind: 'canvas', at };
  const box = stage.element.getBoundingClientRect();
  app.ui.contextMenu(target, [p.screen.x + box.left, p.screen.y + box.top]);
}

/** A double click on a node: enter a subgraph, rename by the title, else open it. @param {Stage} stage @param {Node} node @param {string} where */
export function openNode(stage, node, where) {
  if (stage.doc.flow.subs.has(node.type)) return stage.doc.enter(node.id);
  const text = node.widgets.find((widget) => widget.kind === 'markdown');
  if (where === 'body' && text) return stage.openWidget(node, text);
  void stage.app.ui.rename?.({ kind: 'node', id: node.id });
}

/** @param {Stage} stage @param {number} id of a group */
export function renameGroup(stage, id) {
  void stage.app.ui.rename?.({ kind: 'group', id });
}

/** The picture under a point, and what stood there in the run before. @param {Stage} stage @param {Node} node @param {{x: number, y: number}} at */
export function pictureAt(stage, node, at) {
  const i = stage.media.indexAt(node, at.x, at.y);
  const item = stage.media.of(node).items[i];
  const before = stage.doc.run?.last?.(stage.doc.key(node.id))?.images?.[i];
  return { url: item?.full, last: before ? stage.app.api.viewUrl(before) : undefined };
}

/** @param {Stage} stage @param {Node} node @param {{x: number, y: number}} at */
export function lightbox(stage, node, at) {
  const { items } = stage.media.of(node);
  const file = stage.media.fileAt(node, at);
  if (file) return void stage.app.ui.dialog('page', { file });
  if (items.length) stage.app.ui.lightbox(items.map(({ full, name, kind, file }) => ({ url: full, name, kind, file })), Math.max(0, stage.media.indexAt(node, at.x, at.y)));
}

/** Everything upstream or downstream of a node. @param {Stage} stage @param {NodeId} id @param {'up' | 'down'} way @returns {NodeId[]} */
export function reach(stage, id, way) {
  const { graph } = stage;
  const seen = new Set([id]);
  const stack = [id];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    for (const link of linksOf(graph, at)) {
      const next = way === 'up' ? (link.to === at ? link.from : at) : link.from === at ? link.to : at;
      if (seen.has(next) || !graph.node(next)) continue;
      seen.add(next);
      stack.push(next);
    }
  }
  return [...seen];
}

/** The linked neighbour in a direction: left and right along wires, up and down by place. @param {Stage} stage @param {NodeId} id @param {string} key an arrow @returns {Node | undefined} */
export function neighbour(stage, id, key) {
  const { graph } = stage;
  const node = graph.node(id);
  if (!node) return undefined;
  const links = linksOf(graph, id);
  if (key === 'Left') return graph.node(links.find((link) => link.to === node.id)?.from ?? -1);
  if (key === 'Right') return graph.node(links.find((link) => link.from === node.id)?.to ?? -1);
  const down = key === 'Down';
  const siblings = links.flatMap((link) => linksOf(graph, link.from === node.id ? link.to : link.from)).flatMap((link) => [graph.node(link.from), graph.node(link.to)]);
  const pool = siblings.some((other) => other && other !== node && (down ? other.pos[1] > node.pos[1] : other.pos[1] < node.pos[1])) ? siblings : graph.list;
  let best, least = Infinity;
  for (const other of pool) {
    if (!other || other === node) continue;
    const dy = other.pos[1] - node.pos[1];
    const d = Math.abs(dy) + 2 * Math.abs(other.pos[0] - node.pos[0]);
    if ((down ? dy > 0 : dy < 0) && d < least) {
      least = d;
      best = other;
    }
  }
  return best;
}

/** Where a node, a socket or a widget is on the screen. @param {Stage} stage @param {{node: NodeId, side?: 'in' | 'out', slot?: number, widget?: string}} what @returns {[number, number] | null} */
export function screenOf(stage, { node: id, side, slot, widget }) {
  const node = stage.graph.node(id);
  if (!node) return null;
  const box = widget === undefined ? null : node.widgets.find((w) => w.name === widget);
  const rect = box && stage.widgetBox(node, box);
  const [x, y] = rect ? [rect.x + rect.w / 2, rect.y + Math.min(rect.h, 20) / 2] : side ? slotPos(node, side, slot ?? 0) : [node.pos[0] + Math.min(node.size[0], 200) / 2, node.pos[1] - 15];
  const at = stage.camera.toScreen(x, y);
  return [at.x, at.y];
}
