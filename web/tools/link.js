/** Wiring: drag from a socket, or click one socket and then another. */

import { place } from '../canvas/acts.js';
import { slotPos, ioPos, widgetSocketPos } from '../graph/shape.js';
import { INPUTS, OUTPUTS } from '../graph/model.js';
import { connect, disconnect, freeSocket, moveOutputLinks, relink } from '../graph/edit.js';
import { fits, typeAt, why } from '../graph/types.js';

/** @typedef {import('../canvas/stage.js').Stage} Stage */
/** @typedef {import('../canvas/stage.js').Wiring} Wiring */
/** @typedef {import('../graph/model.js').NodeId} NodeId */
/** @typedef {import('./tool.js').Press} Press */
/** @typedef {{node: NodeId, slot: number, widget?: string}} Socket */
/** @typedef {(e: any, to: Socket) => boolean} Attach makes the links to the socket found */

/** A socket as an end of a wire. @param {Stage} stage @param {'in' | 'out'} side @param {Socket} socket */
export function endOf(stage, side, socket) {
  const { graph } = stage;
  if (socket.node === INPUTS || socket.node === OUTPUTS) {
    const column = socket.node === INPUTS ? 'in' : 'out';
    const [x, y] = ioPos(graph, column, socket.slot);
    const ports = column === 'in' ? graph.inputs : graph.outputs;
    return { ...socket, x, y, type: ports[socket.slot]?.type ?? '*' };
  }
  const node = /** @type {import('../graph/model.js').Node} */ (graph.node(socket.node));
  if (socket.widget !== undefined) {
    const [x, y] = widgetSocketPos(node, socket.widget);
    return { ...socket, x, y, type: typeAt(graph, socket) ?? '*' };
  }
  const [x, y] = slotPos(node, side, socket.slot);
  const slot = (side === 'in' ? node.inputs : node.outputs)[socket.slot];
  return { ...socket, x, y, type: String(Array.isArray(slot.type) ? 'COMBO' : slot.type) };
}

/**
 * The tool for a wire with one end fixed on `side`, or several.
 * @param {Stage} stage @param {Press} press @param {'in' | 'out'} side @param {Socket[]} sockets
 * @param {{lifted?: number[], attach: Attach, drop?: (e: any) => void, label?: string, carried?: string}} options
 *   `drop` is what letting go over nothing means, when that is not the search palette; `carried` the type the palette filters by
 * @returns {import('./tool.js').Tool & {floats: boolean}}
 */
export function wire(stage, press, side, sockets, { lifted = [], attach, drop, label = 'edit.connect' }) {
  const ends = sockets.map((socket) => endOf(stage, side, socket));
  /** @type {Wiring} */
  const wiring = {
    side, ends, aim: null, lifted: new Set(lifted),
    fits: (node, other, slot) => other !== side && ends.every((end) => end.node !== node.id && (side === 'out' ? fits(end.type, slot.type) : fits(slot.type, end.type))),
  };
  stage.wiring = wiring;
  stage.mark('scene', 'wire');
  stage.mark('over', 'wire');
  let moved = false;
  const finish = () => {
    stage.wiring = null;
    stage.mark('scene', 'wired');
    stage.mark('over', 'wired');
  };
  const tool = {
    name: 'link',
    cursor: 'crosshair',
    floats: false,
    /** @param {Press} p */
    move(p) {
      moved ||= !p.still;
      wiring.aim = aimAt(stage, wiring, p);
      stage.mark('over', 'wire');
    },
    /** @param {Press} p */
    end(p) {
      if (!moved && p.still && !tool.floats && !drop) {
        tool.floats = true;
        return;
      }
      tool.floats = false;
      const aim = aimAt(stage, wiring, p);
      finish();
      if (aim) {
        if (aim.to) {
          stage.doc.edit(stage.app.t(label), (/** @type {any} */ e) => attach(e, aim.to));
          if (aim.bad) stage.app.ui.toast(aim.words, { kind: 'info' });
        }
        else if (aim.words) stage.app.ui.toast(aim.words, { kind: 'info' });
      } else if (drop) stage.doc.edit(stage.app.t('edit.disconnect'), drop);
      else search(stage, wiring, p, attach);
    },
    cancel: finish,
  };
  return tool;
}

/** Where the wire would end: a socket under the pointer, or the best free one of a node's body. @param {Stage} stage @param {Wiring} wiring @param {Press} p @returns {Wiring['aim']} */
function aimAt(stage, wiring, p) {
  const hit = stage.pick(p.at.x, p.at.y);
  const wanted = wiring.side === 'out' ? 'in' : 'out';
  const first = wiring.ends[0];
  if (hit.kind === 'io') {
    if ((hit.side === 'in' ? 'out' : 'in') !== wanted) return null;
    const [x, y] = ioPos(stage.graph, hit.side, hit.index);
    return { x, y, to: { node: hit.side === 'in' ? INPUTS : OUTPUTS, slot: hit.index } };
  }
  if (!('node' in hit)) return null;
  const { node } = hit;
  /** @type {Socket | null} */ let to = null;
  if (hit.kind === 'socket' && hit.side === wanted) to = { node: node.id, slot: hit.index, ...(hit.widget ? { widget: hit.widget.name } : {}) };
  else if (hit.kind === 'widget') to = widgetSocketOf(node, hit.widget.name, wanted, wiring);
  if (!to) {
    const free = node.id === first.node ? null : freeSocket(stage.graph, node.id, wanted, first.type);
    to = free && { node: node.id, slot: free.slot ?? -1, ...(free.widget ? { widget: free.widget } : {}) };
  }
  if (!to) return node.id === first.node ? null : { x: p.at.x, y: p.at.y, to: null, words: stage.app.t('wire.noPlace', { node: node.label }) };
  const no = reason(stage, wiring, to);
  const end = endOf(stage, wanted, to);
  if (no) return { x: p.at.x, y: p.at.y, to: null, words: stage.app.t(no.key, no.vars) };
  const clash = clashing(stage, wiring, to);
  if (clash) return { x: end.x, y: end.y, to, node, words: stage.app.t(clash.key, clash.vars), bad: true };
  return { x: end.x, y: end.y, to, node, words: hit.kind === 'socket' ? undefined : nameOf(node, wanted, to) };
}

/** @param {import('../graph/model.js').Node} node @param {string} name @param {'in' | 'out'} wanted @param {Wiring} wiring @returns {Socket | null} */
function widgetSocketOf(node, name, wanted, wiring) {
  const widget = node.widgets.find((w) => w.name === name);
  if (wanted !== 'in' || !widget || !fits(wiring.ends[0].type, widget.type)) return null;
  const slot = node.inputs.findIndex((s) => s.widget?.name === name);
  return slot >= 0 ? { node: node.id, slot } : { node: node.id, slot: -1, widget: name };
}

/** @param {import('../graph/model.js').Node} node @param {'in' | 'out'} side @param {Socket} to */
function nameOf(node, side, to) {
  if (to.widget) return to.widget;
  const slot = (side === 'in' ? node.inputs : node.outputs)[to.slot];
  return slot.label || slot.name;
}

/** Why no wire can go there, or null. @param {Stage} stage @param {Wiring} wiring @param {Socket} to */
function reason(stage, wiring, to) {
  for (const end of wiring.ends) {
    const no = wiring.side === 'out' ? why(stage.graph, end, target(to)) : why(stage.graph, to, target(end));
    if (no) return no;
  }
  return null;
}

/** Why a wire that may go there could not work all the same. @param {Stage} stage @param {Wiring} wiring @param {Socket} to */
function clashing(stage, wiring, to) {
  const place = stage.place();
  for (const end of wiring.ends) {
    const no = wiring.side === 'out' ? stage.kinship.would(place, end, to) : stage.kinship.would(place, to, end);
    if (no) return no;
  }
  return null;
}

/** A socket as `connect` takes it. @param {Socket} socket */
export function target(socket) {
  return socket.widget === undefined ? { node: socket.node, slot: socket.slot } : { node: socket.node, widget: socket.widget };
}

/** A wire let go over nothing: the palette, with what would fit; the node picked is wired and placed. @param {Stage} stage @param {Wiring} wiring @param {Press} p @param {Attach} attach */
function search(stage, wiring, p, attach) {
  const { app, doc } = stage;
  const side = wiring.side === 'out' ? 'in' : 'out';
  const { type } = wiring.ends[0];
  app.ui.palette({
    screen: [p.screen.x, p.screen.y],
    at: [p.at.x, p.at.y],
    filter: { side, type },
    onPick: (/** @type {string} */ name) => {
      doc.edit(app.t('edit.add', { type: name }), (/** @type {any} */ e) => {
        const node = place(stage, e, name, p.at, side);
        const free = node && freeSocket(stage.graph, node.id, side, type);
        if (node && free) attach(e, { node: node.id, slot: free.slot ?? -1, ...(free.widget ? { widget: free.widget } : {}) });
      });
    },
  });
}

/** A press on a socket. @param {Stage} stage @param {Press} press @param {{side: 'in' | 'out', socket: Socket}} hit */
export function fromSocket(stage, press, { side, socket }) {
  const { graph } = stage;
  if (side === 'in' && socket.widget === undefined) {
    const link = [...linksInto(graph, socket)][0];
    if (link && !press.ctrl) return pickUp(stage, press, link);
  }
  if (side === 'out' && press.shift) return moveAll(stage, press, socket);
  return wire(stage, press, side, [socket], {
    attach: (e, to) => Boolean(side === 'out' ? connect(e, socket, target(to)) : connect(e, to, target(socket))),
  });
}

/** @param {import('../graph/model.js').Graph} graph @param {Socket} socket */
function* linksInto(graph, socket) {
  for (const link of graph.links.values()) if (link.to === socket.node && link.toSlot === socket.slot) yield link;
}

/** A link is lifted off its input and follows the pointer; let go over nothing, it is gone. @param {Stage} stage @param {Press} press @param {import('../graph/model.js').Link} link */
function pickUp(stage, press, link) {
  const tool = wire(stage, press, 'out', [{ node: link.from, slot: link.fromSlot }], {
    lifted: [link.id],
    label: 'edit.moveWire',
    attach: (e, to) => (to.node === link.to && to.slot === link.toSlot ? false : Boolean(relink(e, link.id, target(to)))),
    drop: (e) => disconnect(e, link.id),
  });
  const { end } = tool;
  // A click on a connected input does not cut it: only a drag does.
  return { ...tool, end: (/** @type {Press} */ p) => (p.still ? tool.cancel() : end(p)) };
}

/** Shift+drag from an output: all of its links go to another output. @param {Stage} stage @param {Press} press @param {Socket} socket */
function moveAll(stage, press, socket) {
  const links = [...stage.graph.links.values()].filter((link) => link.from === socket.node && link.fromSlot === socket.slot);
  if (!links.length) return wire(stage, press, 'out', [socket], { attach: (e, to) => Boolean(connect(e, socket, target(to))) });
  const ends = links.map((link) => ({ node: link.to, slot: link.toSlot }));
  const tool = wire(stage, press, 'in', ends, {
    lifted: links.map((link) => link.id),
    label: 'edit.moveWires',
    attach: (e, to) => moveOutputLinks(e, socket, to) > 0,
    drop: () => {},
  });
  return tool;
}

/** Shift+drag on a wire: a second wire from the same output. @param {Stage} stage @param {Press} press @param {number} id */
export function branch(stage, press, id) {
  const link = stage.graph.links.get(id);
  if (!link) return null;
  const from = { node: link.from, slot: link.fromSlot };
  return wire(stage, press, 'out', [from], { attach: (e, to) => Boolean(connect(e, from, target(to))), label: 'edit.branch' });
}
