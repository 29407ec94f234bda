/** Which tool a press starts: a table of what was hit, the button and the keys held. */

import { addReroute, connect, disconnectSlot, removeReroute, setFlag } from '../graph/edit.js';
import { INPUTS, OUTPUTS } from '../graph/model.js';
import { lightbox, menu, openNode, pictureAt, reach, renameGroup, search } from '../canvas/acts.js';
import { nodeOf } from '../canvas/pick.js';
import { kindOf } from '../widget/kinds.js';
import { boxSelect } from './box.js';
import { cut } from './cut.js';
import { branch, fromSocket, target, wire } from './link.js';
import { move } from './move.js';
import { pan, zoom } from './pan.js';
import { quickDrag } from './quick.js';
import { moveColumn, sizeGroup, sizeNode } from './size.js';

/** @typedef {import('../canvas/stage.js').Stage} Stage */
/** @typedef {import('../canvas/pick.js').Hit} Hit */
/** @typedef {import('./tool.js').Press} Press */
/** @typedef {import('./tool.js').Tool} Tool */

/** Milliseconds a picture is pressed until it is compared with the one before. */
export const HELD = 400;

/** @param {Stage} stage @param {Press} p @param {Hit} hit @param {boolean} double @returns {Tool | null} */
export function choose(stage, p, hit, double) {
  if (p.button === 2) return second(stage, p, hit);
  if (p.button !== 0) return null;
  switch (hit.kind) {
    case 'socket':
      return onSocket(stage, p, hit);
    case 'io':
      return onPort(stage, p, hit);
    case 'widget':
      return onWidget(stage, p, hit, double);
    case 'corner':
      return sizeNode(stage, p, hit.node);
    case 'media':
      return onMedia(stage, p, hit);
    case 'fold':
    case 'title':
    case 'body':
      return onNode(stage, p, hit, double);
    case 'reroute':
      return onReroute(stage, p, hit.id);
    case 'wire':
      return onWire(stage, p, hit, double);
    case 'group':
      return onGroup(stage, p, hit.id, double);
    case 'column':
      return moveColumn(stage, p, hit.side);
    case 'groupcorner':
      return sizeGroup(stage, p, hit.id);
    default:
      return onCanvas(stage, p, double);
  }
}

/** The second button: a menu where it is let go, a pan if it is dragged; with Alt from a node, quick connect. @param {Stage} stage @param {Press} p @param {Hit} hit */
function second(stage, p, hit) {
  const node = nodeOf(hit);
  if (p.alt && node) return quickDrag(stage, p, node);
  return pan(stage, p, () => menu(stage, hit, p));
}

/** @param {Stage} stage @param {Press} p @param {Extract<Hit, {kind: 'socket'}>} hit */
function onSocket(stage, p, hit) {
  const { node, side, index, widget } = hit;
  if (p.ctrl && p.alt) {
    return click(() => stage.doc.edit(stage.app.t('edit.break'), (/** @type {any} */ e) => disconnectSlot(e, { node: node.id, side, slot: index })));
  }
  return fromSocket(stage, p, { side, socket: widget ? { node: node.id, slot: -1, widget: widget.name } : { node: node.id, slot: index } });
}

/** @param {Stage} stage @param {Press} p @param {Extract<Hit, {kind: 'io'}>} hit */
function onPort(stage, p, hit) {
  const socket = { node: hit.side === 'in' ? INPUTS : OUTPUTS, slot: hit.index };
  const side = hit.side === 'in' ? 'out' : 'in';
  return wire(stage, p, side, [socket], { attach: (e, to) => Boolean(side === 'out' ? connect(e, socket, target(to)) : connect(e, to, socket)) });
}

/** @param {Stage} stage @param {Press} p @param {Extract<Hit, {kind: 'widget'}>} hit @param {boolean} double */
function onWidget(stage, p, hit, double) {
  const slot = hit.node.inputs.find((s) => s.widget?.name === hit.widget.name);
  const linked = slot?.link !== null && slot?.link !== undefined;
  const held = p.alt || (p.ctrl && hit.widget.kind !== 'number') || linked || hit.node.flags.pinned && hit.widget.kind === 'markdown';
  if (double && hit.widget.kind === 'markdown') return click(() => stage.openWidget(hit.node, hit.widget));
  const tool = held ? null : kindOf(hit.widget.kind).press(stage, hit, p);
  if (!tool) return onNode(stage, p, { kind: 'body', node: hit.node }, false);
  if (p.touch && tool.name === 'number') return touchNumber(stage, p, hit, tool);
  return tool.name === 'number' ? tool : withDrag(stage, p, hit, tool);
}

/** A field that does not take drags lets its node be dragged. @param {Stage} stage @param {Press} p @param {Extract<Hit, {kind: 'widget'}>} hit @param {Tool} tool @returns {Tool} */
function withDrag(stage, p, hit, tool) {
  /** @type {Tool | null} */ let drag = null;
  return {
    ...tool,
    move(q) {
      drag ??= onNode(stage, p, { kind: 'body', node: hit.node }, false);
      drag.move(q);
    },
    end: (q) => (drag ? drag.end(q) : tool.end(q)),
    cancel: () => (drag ? drag.cancel() : tool.cancel()),
    draw: (look) => drag?.draw?.(look),
  };
}

/** On a touch screen a number changes only if its node was selected first, so that moving about changes nothing. @param {Stage} stage @param {Press} p @param {Extract<Hit, {kind: 'widget'}>} hit @param {Tool} tool */
function touchNumber(stage, p, hit, tool) {
  return stage.doc.selection.nodes.has(hit.node.id) ? tool : withDrag(stage, p, hit, tool);
}

/** A picture: a click opens it, a press held compares it with the one before; a mouse drags it out of the page (see grip.js), a finger moves its node. @param {Stage} stage @param {Press} p @param {Extract<Hit, {kind: 'media'}>} hit @returns {Tool} */
function onMedia(stage, p, hit) {
  const base = onNode(stage, p, { kind: 'body', node: hit.node }, false);
  let held = 0, compared = false;
  const { url, last } = pictureAt(stage, hit.node, p.at);
  const out = Boolean(url) && !p.touch && !p.alt && !p.ctrl && !p.shift;
  if (url && last) held = window.setTimeout(() => ((compared = true), stage.app.ui.compare(last, url)), HELD);
  return {
    ...base,
    move(q) {
      clearTimeout(held);
      if (!out) base.move(q);
    },
    sense: (q) => void (out || base.sense?.(q)),
    end(q) {
      clearTimeout(held);
      if (q.still && !q.shift && !q.ctrl && !compared) lightbox(stage, hit.node, p.at);
      else base.end(q);
    },
    cancel() {
      clearTimeout(held);
      base.cancel();
    },
  };
}

/** @param {Stage} stage @param {Press} p @param {{kind: string, node: import('../graph/model.js').Node, third?: number}} hit @param {boolean} double @returns {Tool} */
function onNode(stage, p, hit, double) {
  const { doc } = stage;
  const { id } = hit.node;
  const chosen = doc.selection.nodes.has(id);
  const plus = (p.shift || p.ctrl || stage.multi) && !p.alt;
  if (!chosen && !plus) doc.select({ nodes: [id] });
  let added = false;
  const tool = move(stage, p, {
    still: (q) => {
      if (hit.kind === 'fold' && !plus) return void (double || fold(stage, hit.node));
      if (double && !q.shift && !q.ctrl) return openNode(stage, hit.node, hit.kind);
      if (!plus) return void (!q.touch && doc.select({ nodes: [id] }));
      if (q.shift && !q.ctrl && hit.kind === 'title' && hit.third) return doc.select({ nodes: [id, ...reach(stage, id, hit.third < 0 ? 'up' : 'down')] }, 'add');
      if (!added) doc.select({ nodes: [id] }, 'toggle');
    },
  });
  const start = tool.move;
  return {
    ...tool,
    move(q) {
      if (plus && !doc.selection.nodes.has(id)) {
        added = true;
        doc.select({ nodes: [id] }, 'add');
      }
      start(q);
    },
  };
}

/** A click on the mark folds a node up or open; the second of two clicks does not undo the first. @param {Stage} stage @param {import('../graph/model.js').Node} node */
function fold(stage, node) {
  const folded = Boolean(node.flags.collapsed);
  stage.doc.edit(stage.app.t(folded ? 'edit.unfold' : 'edit.fold'), (/** @type {any} */ e) => setFlag(e, [node.id], 'collapsed', !folded));
}

/** @param {Stage} stage @param {Press} p @param {number} id */
function onReroute(stage, p, id) {
  const { doc } = stage;
  if (p.alt) return click(() => doc.edit(stage.app.t('edit.unroute'), (/** @type {any} */ e) => removeReroute(e, id)));
  if (p.shift) {
    const link = [...stage.graph.links.values()].find((l) => l.parent === id);
    if (link) return branch(stage, p, link.id);
  }
  if (!doc.selection.reroutes.has(id)) doc.select({ reroutes: [id] }, p.ctrl ? 'add' : 'set');
  return move(stage, p, { still: () => doc.select({ reroutes: [id] }) });
}

/** @param {Stage} stage @param {Press} p @param {Extract<Hit, {kind: 'wire'}>} hit @param {boolean} double */
function onWire(stage, p, hit, double) {
  const reroute = () => {
    const stop = stage.routes.stops[hit.stretch];
    const before = stop && !('size' in stop) ? stop.id : undefined;
    stage.doc.edit(stage.app.t('edit.reroute'), (/** @type {any} */ e) => addReroute(e, hit.link, [Math.round(p.at.x), Math.round(p.at.y)], before));
  };
  if (p.alt) return cut(stage, p, reroute);
  if (double) return click(reroute);
  if (p.shift) return branch(stage, p, hit.link);
  return onCanvas(stage, p, false);
}

/** @param {Stage} stage @param {Press} p @param {number} id @param {boolean} double */
function onGroup(stage, p, id, double) {
  const { doc } = stage;
  if (double) return click(() => renameGroup(stage, id));
  if (!doc.selection.groups.has(id)) doc.select({ groups: [id] }, p.shift || p.ctrl ? 'add' : 'set');
  return move(stage, p, { still: (q) => doc.select({ groups: [id] }, q.shift || q.ctrl ? 'add' : 'set') });
}

/** @param {Stage} stage @param {Press} p @param {boolean} double */
function onCanvas(stage, p, double) {
  const { doc } = stage;
  if (double) return click(() => search(stage, p));
  if (p.ctrl && p.shift) return zoom(stage, p);
  if (p.alt) return cut(stage, p);
  if (p.ctrl) return boxSelect(stage, p);
  const still = (/** @type {Press} */ q) => void (q.shift || stage.multi || doc.select({ nodes: [], groups: [], reroutes: [] }));
  return stage.app.prefs?.get('canvas.select') ? boxSelect(stage, p, still) : pan(stage, p, still);
}

/** A press that acts when it is let go in place. @param {() => void} act @returns {Tool} */
function click(act) {
  return { name: 'click', move() {}, end: (p) => void (p.still && act()), cancel() {} };
}
