/** Edits of wires. `{node, slot}` names a socket; node -10 and -20 are the columns of a subgraph's own ports. */

import { INPUTS, OUTPUTS, socketOf, valueOf, widgetNamed } from './model.js';
import { equalTypes, fits, isAny, typeAt, why } from './types.js';
import { syncPorts } from './ports.js';
import { addPort } from './sub.js';

/** @typedef {import('./record.js').Edit} Edit */
/** @typedef {import('./model.js').NodeId} NodeId */
/** @typedef {import('./model.js').Node} Node */
/** @typedef {import('./model.js').Link} Link */
/** @typedef {{node: NodeId, slot: number}} Output */
/** @typedef {{node: NodeId, slot?: number, widget?: string}} Input */

/**
 * Wires an output to an input or a widget; an input keeps only its newest link. Null if the types do not fit.
 * @param {Edit} e @param {Output} from @param {Input} to @param {{parent?: number, sure?: boolean}} [more] sure: known to make no loop @returns {Link|null}
 */
export function connect(e, from, to, more = {}) {
  if (why(e.graph, from, to, more.sure)) return null;
  const origin = from.node === INPUTS && from.slot >= e.graph.inputs.length ? addPort(e, 'in', to) : from;
  /** @type {Input} */ const target = to.node === OUTPUTS && (to.slot ?? 0) >= e.graph.outputs.length ? addPort(e, 'out', origin) : to;
  const slot = target.widget !== undefined ? widgetSocket(e, target.node, target.widget) : (target.slot ?? -1);
  if (slot < 0) return null;
  const there = endsAt(e.graph, target.node, slot);
  const same = there.find((link) => link.from === origin.node && link.fromSlot === origin.slot);
  if (same) return same;
  for (const link of there) disconnect(e, link.id);
  const type = linkType(e.graph, origin, { node: target.node, slot });
  const id = e.graph.lastLink + 1;
  const to_ = target.node === OUTPUTS ? OUTPUTS : /** @type {Node} */ (e.graph.node(target.node)).id;
  const link = { id, from: origin.node, fromSlot: origin.slot, to: to_, toSlot: slot, type, ...(more.parent === undefined ? {} : { parent: more.parent }) };
  e.change({ op: 'link+', link });
  afterLink(e, origin.node, to_);
  return e.graph.links.get(id) ?? null;
}

/** The links that end at an input. @param {import('./model.js').Graph} graph @param {NodeId} id @param {number} slot @returns {Link[]} */
function endsAt(graph, id, slot) {
  const ids = id === OUTPUTS ? (graph.outputs[slot]?.linkIds ?? []) : [graph.node(id)?.inputs[slot]?.link];
  return ids.flatMap((link) => graph.link(link) ?? []);
}

/** The links that begin at an output. @param {import('./model.js').Graph} graph @param {NodeId} id @param {number} slot @returns {Link[]} */
function startsAt(graph, id, slot) {
  const ids = id === INPUTS ? graph.inputs[slot]?.linkIds : graph.node(id)?.outputs[slot]?.links;
  return (ids ?? []).flatMap((link) => graph.link(link) ?? []);
}

/** @param {import('./model.js').Graph} graph @param {Output} from @param {Input} to */
function linkType(graph, from, to) {
  const out = from.node === INPUTS ? graph.inputs[from.slot].type : graph.node(from.node)?.outputs[from.slot].type;
  return !out || isAny(out) ? (typeAt(graph, to) ?? '*') : out;
}

/** The socket of a widget, made if it has none yet; -1 if it can have none. @param {Edit} e @param {NodeId} id @param {string} name */
export function widgetSocket(e, id, name) {
  const node = e.graph.node(id);
  const widget = node && widgetNamed(node, name);
  if (!node || !widget || widget.kind === 'control' || widget.kind === 'upload') return -1;
  const at = socketOf(node, name);
  if (at >= 0) return at;
  const sub = e.flow.subs.get(node.type);
  if (node.def?.virtual || (sub && !sub.inputs.some((slot) => slot.name === name))) return -1;
  e.change({ op: 'slot+', id: node.id, side: 'in', index: node.inputs.length, slot: { name, type: widget.type, widget: { name } } });
  return node.inputs.length - 1;
}

/** Ports that follow their links: growing lists, primitives, reroute nodes. @param {Edit} e @param {NodeId} from @param {NodeId} to */
function afterLink(e, from, to) {
  const source = e.graph.node(from);
  const target = e.graph.node(to);
  if (target) syncPorts(e, target);
  if (source?.type === 'PrimitiveNode') adoptWidget(e, source);
  for (const node of [source, target]) if (node?.type === 'Reroute') typeReroute(e, node);
}

/** A primitive takes the type, and at first the value, of what it feeds. @param {Edit} e @param {Node} node */
function adoptWidget(e, node) {
  const link = e.graph.link(node.outputs[0]?.links?.[0]);
  const target = link && e.graph.node(link.to);
  const name = target?.inputs[link?.toSlot ?? -1]?.widget?.name;
  const widget = target && name !== undefined ? widgetNamed(target, name) : undefined;
  if (!link || !target || !widget) {
    if (node.outputs[0]?.type !== '*') e.change({ op: 'slot=', id: node.id, side: 'out', index: 0, set: { type: '*', name: 'connect to widget input', widget: undefined } });
    return;
  }
  e.change({ op: 'slot=', id: node.id, side: 'out', index: 0, set: { type: widget.type, name: widget.type, widget: { name: widget.name } } });
  if (!Array.isArray(node.values) || !node.values.length) e.change({ op: 'node=', id: node.id, set: { values: widget.kind === 'number' || widget.kind === 'combo' ? [valueOf(target, widget), 'fixed'] : [valueOf(target, widget)] } });
}

/** @param {Edit} e @param {Node} node */
function typeReroute(e, node) {
  const into = e.graph.link(node.inputs[0]?.link);
  const out = e.graph.link(node.outputs[0]?.links?.[0]);
  const type = into?.type ?? out?.type ?? '*';
  if (node.outputs[0]?.type !== type) e.change({ op: 'slot=', id: node.id, side: 'out', index: 0, set: { type, name: type === '*' ? '' : type } });
}

/** @param {Edit} e @param {number} linkId */
export function disconnect(e, linkId) {
  const link = e.graph.links.get(linkId);
  if (!link) return;
  e.change({ op: 'link-', id: linkId });
  pruneReroutes(e, link.parent);
  const source = e.graph.node(link.from);
  const target = e.graph.node(link.to);
  if (target) syncPorts(e, target);
  if (source?.type === 'PrimitiveNode') adoptWidget(e, source);
  for (const node of [source, target]) if (node?.type === 'Reroute') typeReroute(e, node);
}

/** Removes reroutes that nothing passes through any more. @param {Edit} e @param {number|undefined} id */
function pruneReroutes(e, id) {
  while (id !== undefined) {
    const reroute = e.graph.reroutes.get(id);
    const used = [...e.graph.links.values()].some((link) => link.parent === id) || [...e.graph.reroutes.values()].some((other) => other.parent === id);
    if (!reroute || used) return;
    e.change({ op: 'reroute-', id });
    id = reroute.parent;
  }
}

/** @param {Edit} e @param {{node: NodeId, side: 'in'|'out', slot: number}} socket */
export function disconnectSlot(e, { node, side, slot }) {
  for (const link of side === 'in' ? endsAt(e.graph, node, slot) : startsAt(e.graph, node, slot)) disconnect(e, link.id);
}

/** @param {Edit} e @param {Output} from @param {Output} to @returns {number} how many moved */
export function moveOutputLinks(e, from, to) {
  const links = startsAt(e.graph, from.node, from.slot);
  let moved = 0;
  for (const link of links) {
    const end = { node: link.to, slot: link.toSlot };
    if (why(e.graph, to, end)) continue;
    disconnect(e, link.id);
    if (connect(e, to, end)) moved += 1;
  }
  return moved;
}

/** Takes the end of a link to another input. @param {Edit} e @param {number} linkId @param {Input} to @returns {Link|null} */
export function relink(e, linkId, to) {
  const link = e.graph.links.get(linkId);
  if (!link || why(e.graph, { node: link.from, slot: link.fromSlot }, to)) return null;
  disconnect(e, linkId);
  return connect(e, { node: link.from, slot: link.fromSlot }, to, link.parent !== undefined && e.graph.reroutes.has(link.parent) ? { parent: link.parent } : {});
}

/** Puts a node into a wire. @param {Edit} e @param {number} linkId @param {NodeId} nodeId @returns {boolean} */
export function insertOnLink(e, linkId, nodeId) {
  const link = e.graph.links.get(linkId);
  if (!link || link.from === nodeId || link.to === nodeId) return false;
  const into = freeSocket(e.graph, nodeId, 'in', link.type);
  const end = { node: link.to, slot: link.toSlot };
  const out = freeSocket(e.graph, nodeId, 'out', typeAt(e.graph, end) ?? '*');
  if (!into || !out || out.slot === undefined) return false;
  const start = { node: link.from, slot: link.fromSlot };
  disconnect(e, linkId);
  if (connect(e, start, { node: nodeId, ...into }) && connect(e, { node: nodeId, slot: out.slot }, end)) return true;
  connect(e, start, end);
  return false;
}

/**
 * The socket of a node a wire of some type would best go to: exact type before union, free before taken.
 * @param {import('./model.js').Graph} graph @param {NodeId} nodeId @param {'in'|'out'} side @param {string} type @returns {{slot?: number, widget?: string}|null}
 */
export function freeSocket(graph, nodeId, side, type) {
  const node = graph.node(nodeId);
  if (!node) return null;
  /** @type {{to: {slot?: number, widget?: string}, score: number}|null} */ let best = null;
  /** @param {{slot?: number, widget?: string}} to @param {string} slotType @param {boolean} taken @param {boolean} widget */
  const offer = (to, slotType, taken, widget) => {
    if (side === 'in' ? !fits(type, slotType) : !fits(slotType, type)) return;
    const score = (equalTypes(type, slotType) ? 8 : isAny(slotType) ? 0 : 4) + (taken ? 0 : 2) + (widget ? 0 : 1);
    if (!best || score > best.score) best = { to, score };
  };
  const slots = side === 'in' ? node.inputs : node.outputs;
  slots.forEach((slot, i) => offer({ slot: i }, slot.type, side === 'in' && slot.link !== null, Boolean(slot.widget)));
  if (side === 'in' && !isAny(type)) for (const widget of node.widgets) if (!widget.silent && !widget.hidden && socketOf(node, widget.name) < 0) offer({ widget: widget.name }, widget.type, false, true);
  return /** @type {any} */ (best)?.to ?? null;
}

/** @param {Edit} e @param {number} linkId @param {[number, number]} pos @param {number} [before] an existing reroute of the link to sit before @returns {import('./model.js').Reroute|undefined} */
export function addReroute(e, linkId, pos, before) {
  const link = e.graph.links.get(linkId);
  if (!link) return undefined;
  const id = e.graph.lastReroute + 1;
  const next = before === undefined ? undefined : e.graph.reroutes.get(before);
  const parent = next ? next.parent : link.parent;
  e.change({ op: 'reroute+', item: { id, pos, ...(parent === undefined ? {} : { parent }) } });
  if (next) e.change({ op: 'reroute=', id: next.id, set: { parent: id } });
  else e.change({ op: 'link=', id: linkId, set: { parent: id } });
  return e.graph.reroutes.get(id);
}

/**
 * What a bypassed node passes to one of its outputs: the same place if the types fit, else the first input of exactly
 * the type, else the first that fits. Null if there is none.
 * @param {import('./model.js').Graph} graph @param {Node} node @param {number} output @param {string} wanted type of the far end @returns {Link|null}
 */
export function bypassSource(graph, node, output, wanted) {
  const slot = bypassSlot(node, output, wanted);
  return slot < 0 ? null : (graph.link(node.inputs[slot].link) ?? null);
}

/** @param {Node} node @param {number} output @param {string} wanted @returns {number} input index or -1 */
export function bypassSlot(node, output, wanted) {
  const type = node.outputs[output]?.type ?? '*';
  const inputs = node.inputs;
  if (!inputs.length) return -1;
  if (isAny(wanted) && isAny(type)) return inputs[output] ? output : 0;
  const same = inputs[output];
  if (same && fits(same.type, type) && fits(same.type, wanted)) return output;
  const exact = inputs.findIndex((slot) => equalTypes(slot.type, type));
  return exact >= 0 ? exact : inputs.findIndex((slot) => fits(slot.type, type) && fits(slot.type, wanted));
}
