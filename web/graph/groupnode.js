/**
 * Group nodes, the way of older files to put several nodes in one: turned into subgraphs, which do the same. The inside is
 * in extra.groupNodes; sockets of the outside are those of the inside, in order, that nothing inside feeds or takes.
 */

import { connect, cutNode } from './edit.js';
import { widgetsOf } from './defs.js';
import { plain } from './plain.js';

/** @typedef {import('./record.js').Edit} Edit */
/** @typedef {import('./model.js').Node} Node */

const TYPE = /^workflow[>/](.+)$/;

/** The inside of a group node, if it is one. @param {import('./model.js').Workflow} flow @param {Node} node @returns {any} */
export function groupNodeOf(flow, node) {
  const name = node.def ? null : TYPE.exec(String(node.type))?.[1];
  return name ? flow.root.extra.groupNodes?.[name] : undefined;
}

/** Which sockets of the inside the outside shows. @param {Edit} e @param {any} group */
function portsOf(e, group) {
  const fed = new Set(group.links.filter((/** @type {any[]} */ [from]) => from !== null).map((/** @type {any[]} */ [, , to, slot]) => `${to}/${slot}`));
  const taken = new Set(group.links.map((/** @type {any[]} */ [from, slot]) => `${from}/${slot}`));
  const external = new Set((group.external ?? []).map((/** @type {any[]} */ [node, slot]) => `${node}/${slot}`));
  /** @type {{node: number, slot: number, name: string, type: string}[]} */ const inputs = [];
  /** @type {typeof inputs} */ const outputs = [];
  group.nodes.forEach((/** @type {any} */ node, /** @type {number} */ i) => {
    const config = group.config?.[i] ?? {};
    const slots = [...(node.inputs ?? []).entries()].sort(([, a], [, b]) => Number(Boolean(a.widget)) - Number(Boolean(b.widget)));
    for (const [slot, one] of slots) if (!fed.has(`${i}/${slot}`) && config.input?.[one.name]?.visible !== false) inputs.push({ node: i, slot, name: config.input?.[one.name]?.name ?? one.name, type: one.type });
    for (const [slot, one] of (node.outputs ?? []).entries()) {
      const shown = !taken.has(`${i}/${slot}`) || external.has(`${i}/${slot}`);
      if (shown && config.output?.[slot]?.visible !== false) outputs.push({ node: i, slot, name: config.output?.[slot]?.name ?? one.label ?? one.name, type: one.type });
    }
  });
  return { inputs: unique(inputs), outputs };
}

/** @template {{name: string}} T @param {T[]} ports @returns {T[]} */
function unique(ports) {
  const seen = new Set();
  for (const port of ports) {
    const base = port.name;
    for (let n = 2; seen.has(port.name); n++) port.name = `${base}_${n}`;
    seen.add(port.name);
  }
  return ports;
}

/** The nodes inside, given the values the group node holds. @param {Edit} e @param {any} group @param {any} values */
function inside(e, group, values) {
  let taken = 0;
  return group.nodes.map((/** @type {any} */ node, /** @type {number} */ i) => {
    const { index: _, ...copy } = plain(node);
    const def = e.flow.defs.get(node.type);
    const n = def ? widgetsOf(def.inputs).length : (node.widgets_values?.length ?? 0);
    const own = Array.isArray(values) ? values.slice(taken, taken + n) : [];
    taken += n;
    for (const slot of copy.inputs ?? []) slot.link = null;
    for (const slot of copy.outputs ?? []) slot.links = [];
    return { ...copy, id: i + 1, ...(own.length === n && n ? { widgets_values: own } : {}) };
  });
}

/** @param {Edit} e @param {Node} node @param {any} group */
function definition(e, node, group) {
  const ports = portsOf(e, group);
  const nodes = inside(e, group, node.values);
  /** @type {any[]} */ const links = [];
  const add = (/** @type {any} */ link) => {
    const made = { id: links.length + 1, ...link };
    links.push(made);
    const to = nodes[made.target_id - 1];
    if (to?.inputs?.[made.target_slot]) to.inputs[made.target_slot].link = made.id;
    return made.id;
  };
  for (const [from, fromSlot, to, toSlot, , type] of group.links) if (from !== null && nodes[from] && nodes[to]) add({ origin_id: from + 1, origin_slot: fromSlot, target_id: to + 1, target_slot: toSlot, type });
  const inputs = ports.inputs.map((port, k) => ({ id: crypto.randomUUID(), name: port.name, type: port.type, linkIds: [add({ origin_id: -10, origin_slot: k, target_id: port.node + 1, target_slot: port.slot, type: port.type })] }));
  const outputs = ports.outputs.map((port, k) => ({ id: crypto.randomUUID(), name: port.name, type: port.type, linkIds: [add({ origin_id: port.node + 1, origin_slot: port.slot, target_id: -20, target_slot: k, type: port.type })] }));
  const xs = nodes.map((/** @type {any} */ one) => Number(one.pos?.[0] ?? 0));
  const ys = nodes.map((/** @type {any} */ one) => Number(one.pos?.[1] ?? 0));
  return {
    id: crypto.randomUUID(), version: 1, revision: 0, config: {}, name: TYPE.exec(String(node.type))?.[1] ?? 'Group', inputs, outputs, nodes, links, groups: [], widgets: [], extra: {},
    state: { lastGroupId: 0, lastNodeId: nodes.length, lastLinkId: links.length, lastRerouteId: 0 },
    inputNode: { id: -10, bounding: [Math.min(...xs) - 220, Math.min(...ys), 120, 60] }, outputNode: { id: -20, bounding: [Math.max(...xs) + 420, Math.min(...ys), 120, 60] },
  };
}

/** Turns every group node of the graph into an instance of a subgraph. @param {Edit} e @returns {number} how many */
export function groupNodesToSubgraphs(e) {
  let n = 0;
  for (const node of [...e.graph.nodes.values()]) {
    const group = groupNodeOf(e.flow, node);
    if (!group?.nodes?.length) continue;
    const data = definition(e, node, group);
    const into = node.inputs.map((slot) => e.graph.link(slot.link));
    const out = node.outputs.map((slot) => (slot.links ?? []).flatMap((id) => e.graph.links.get(id) ?? []));
    cutNode(e, node.id);
    e.change({ op: 'sub+', data });
    e.change({ op: 'node-', id: node.id });
    const inputs = data.inputs.map(({ name, type }) => ({ name, type, link: null }));
    const outputs = data.outputs.map(({ name, type }) => ({ name, type, links: [] }));
    e.change({ op: 'node+', z: node.z, node: { id: node.id, type: data.id, pos: [...node.pos], size: [...node.size], flags: { ...node.flags }, order: node.order, mode: node.mode, ...(node.title ? { title: node.title } : {}), properties: {}, inputs, outputs, widgets_values: [] } });
    into.forEach((link, slot) => link && inputs[slot] && connect(e, { node: link.from, slot: link.fromSlot }, { node: node.id, slot }));
    out.forEach((links, slot) => links.forEach((link) => outputs[slot] && connect(e, { node: node.id, slot }, { node: link.to, slot: link.toSlot })));
    n += 1;
  }
  return n;
}
