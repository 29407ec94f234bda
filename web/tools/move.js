/** Moving nodes, groups and reroutes. They are drawn on the overlay while they move; the document changes once, at the drop. */

import { overlaps } from '../canvas/camera.js';
import { through } from '../canvas/curve.js';
import { duplicate } from '../graph/copy.js';
import { freeSocket, growGroups, healNode, holders, insertOnLink, insideGroup, linksOf, moveItems, raise } from '../graph/edit.js';
import { typeAt } from '../graph/types.js';
import { Shake } from './shake.js';

/** @typedef {import('../canvas/stage.js').Stage} Stage */
/** @typedef {import('./tool.js').Press} Press */
/** @typedef {import('../graph/model.js').NodeId} NodeId */
/** @typedef {{nodes: NodeId[], groups: number[], reroutes: number[]}} Items */

/** What is selected, with what lies in the selected groups, without what is pinned. @param {Stage} stage @returns {Items} */
function selected(stage) {
  const { graph, doc } = stage;
  const nodes = new Set(doc.selection.nodes), groups = new Set(doc.selection.groups), reroutes = new Set(doc.selection.reroutes);
  for (const id of doc.selection.groups) {
    const found = insideGroup(graph, id);
    found.nodes.forEach((n) => nodes.add(n));
    found.groups.forEach((g) => groups.add(g));
    found.reroutes.forEach((r) => reroutes.add(r));
  }
  return {
    nodes: [...nodes].filter((id) => graph.node(id) && !graph.node(id)?.flags.pinned),
    groups: [...groups].filter((id) => graph.groups.has(id) && !graph.groups.get(id)?.flags?.pinned),
    reroutes: [...reroutes].filter((id) => graph.reroutes.has(id)),
  };
}

/**
 * @param {Stage} stage @param {Press} press
 * @param {{still: (p: Press) => void}} options what a press without a move means
 * @returns {import('./tool.js').Tool}
 */
export function move(stage, press, { still }) {
  /** @type {Items | null} */ let items = null;
  /** @type {any} */ let copy = null;
  /** @type {number | null} */ let wire = null;
  const shake = new Shake();
  let shaken = false; // a node shaken out of its wire is not put back into it at the drop
  const begin = () => {
    if (press.alt) copy = copied(stage);
    items = selected(stage);
    const nodes = new Set(items.nodes.flatMap((id) => stage.graph.node(id) ?? []));
    stage.drag = { nodes, groups: new Set(items.groups), reroutes: new Set(items.reroutes), dx: 0, dy: 0 };
    stage.mark('scene', 'drag');
  };
  const finish = () => {
    stage.drag = null;
    stage.mark('scene', 'drop');
    stage.mark('over', 'drop');
  };
  return {
    name: 'move',
    cursor: 'grabbing',
    move(p) {
      if (!items) begin();
      const { drag } = stage;
      if (!drag || !items) return;
      const [dx, dy] = step(stage, p.at.x - press.at.x, p.at.y - press.at.y, items);
      wire = p.alt || copy || shaken ? null : wireUnder(stage, items, dx, dy);
      if (dx === drag.dx && dy === drag.dy) return;
      drag.dx = dx;
      drag.dy = dy;
      stage.mark('over', 'drag');
    },
    sense(p) {
      if (!items) begin();
      if (!shake.move(p.screen.x, p.time) || !items?.nodes.length) return;
      shaken = true;
      loosen(stage, items.nodes);
    },
    end(p) {
      if (!items || !stage.drag) return still(p);
      const { dx, dy } = stage.drag;
      const what = items, into = wire;
      const act = (/** @type {any} */ e) => {
        const held = copy ? new Map() : holders(e.graph, what.nodes, what.groups);
        moveItems(e, what, dx, dy);
        growGroups(e, held);
        if (what.nodes.length) raise(e, what.nodes);
        if (into !== null && insertOnLink(e, into, what.nodes[0])) clearWay(stage, e, what.nodes[0]);
      };
      finish();
      if (copy) copy.edit(act), copy.done();
      else if (dx || dy) stage.doc.edit(stage.app.t(into === null ? 'edit.move' : 'edit.insert'), act);
    },
    cancel() {
      copy?.cancel();
      finish();
    },
    draw(look) {
      if (wire !== null) highlight(stage, look, wire);
    },
  };
}

/** Starts an Alt+drag: a copy of the selection takes its place under the pointer. @param {Stage} stage */
function copied(stage) {
  const gesture = stage.doc.gesture(stage.app.t('edit.duplicate'));
  const { nodes, groups, reroutes } = stage.doc.selection;
  const made = gesture.edit((/** @type {any} */ e) => duplicate(e, { nodes: [...nodes], groups: [...groups], reroutes: [...reroutes] }, [0, 0], { links: false }));
  if (made) stage.doc.select(made);
  return gesture;
}

/** The offset, on the grid if the user wants that. @param {Stage} stage @param {number} dx @param {number} dy @param {Items} items @returns {[number, number]} */
function step(stage, dx, dy, items) {
  const grid = stage.app.prefs?.get('canvas.snap') ? stage.app.prefs.get('canvas.grid') || 10 : 1;
  const first = stage.graph.node(items.nodes[0] ?? -1)?.pos ?? [0, 0];
  const [x, y] = first;
  return [Math.round((x + dx) / grid) * grid - x, Math.round((y + dy) / grid) * grid - y];
}

/** Takes nodes out of their wires, which close behind them. @param {Stage} stage @param {NodeId[]} ids */
export function loosen(stage, ids) {
  if (!ids.some((id) => linksOf(stage.graph, id).length)) return;
  stage.doc.edit(stage.app.t('wire.loosen'), (/** @type {any} */ e) => ids.forEach((id) => healNode(e, id)));
}

/** The wire that one dragged node would go into. @param {Stage} stage @param {Items} items @param {number} dx @param {number} dy @returns {number | null} */
function wireUnder(stage, items, dx, dy) {
  if (items.nodes.length !== 1 || items.groups.length) return null;
  const node = stage.graph.node(items.nodes[0]);
  if (!node || linksOf(stage.graph, node.id).length) return null;
  const k = node.at * 4, { boxes } = stage.graph;
  const box = { x: boxes[k] + dx, y: boxes[k + 1] + dy, w: boxes[k + 2] - boxes[k], h: boxes[k + 3] - boxes[k + 1] };
  stage.fresh();
  const { routes } = stage;
  for (let i = routes.count - 1; i >= 0; i--) {
    const a = i * 4, { ends } = routes;
    const around = { x: Math.min(ends[a], ends[a + 2]) - 240, y: Math.min(ends[a + 1], ends[a + 3]) - 1, w: Math.abs(ends[a] - ends[a + 2]) + 480, h: Math.abs(ends[a + 1] - ends[a + 3]) + 2 };
    if (!overlaps(box, around) || !through(ends, a, box)) continue;
    const link = routes.links[i];
    const into = freeSocket(stage.graph, node.id, 'in', link.type);
    const out = freeSocket(stage.graph, node.id, 'out', typeAt(stage.graph, { node: link.to, slot: link.toSlot }) ?? '*');
    if (into && out) return link.id;
  }
  return null;
}

/** After an insert, pushes what is downstream aside so that nothing lies on the new node. @param {Stage} stage @param {any} e @param {NodeId} id */
function clearWay(stage, e, id) {
  const { graph } = stage;
  const node = graph.node(id);
  if (!node) return;
  const k = node.at * 4;
  const right = graph.boxes[k + 2] + 30;
  const seen = new Set([node.id]);
  let shift = 0;
  for (const link of linksOf(graph, id)) {
    if (link.from !== node.id) continue;
    const next = graph.node(link.to);
    if (next && !next.flags.pinned) shift = Math.max(shift, right - graph.boxes[next.at * 4]);
  }
  if (shift <= 0 || shift > 600) return;
  /** @type {NodeId[]} */ const list = [];
  /** @type {NodeId[]} */ const stack = [node.id];
  for (let from = stack.pop(); from !== undefined; from = stack.pop()) {
    for (const link of linksOf(graph, from)) {
      if (link.from !== from || seen.has(link.to) || !graph.node(link.to)) continue;
      seen.add(link.to);
      list.push(link.to);
      stack.push(link.to);
    }
  }
  moveItems(e, { nodes: list }, Math.round(shift), 0);
}

/** @param {Stage} stage @param {import('../canvas/look.js').Look} look @param {number} wire */
function highlight(stage, look, wire) {
  const { routes } = stage;
  const { pen, theme } = look;
  pen.strokeStyle = theme.accent;
  pen.lineWidth = 5;
  pen.globalAlpha = 0.8;
  for (let i = 0; i < routes.count; i++) {
    if (routes.links[i].id !== wire) continue;
    const [ax, ay, bx, by] = routes.ends.subarray(i * 4, i * 4 + 4);
    const reach = Math.min(240, Math.max(20, Math.abs(bx - ax) * 0.5));
    pen.beginPath();
    pen.moveTo(ax, ay);
    pen.bezierCurveTo(ax + reach, ay, bx - reach, by, bx, by);
    pen.stroke();
  }
  pen.globalAlpha = 1;
}
