/**
 * Workflow files. Reads format 0.4 (links as arrays) and 1 (links as objects), writes 0.4 with subgraph definitions in
 * format 1, as ComfyUI does. Keys it does not know are carried through untouched, and so are raw widget values.
 */

import { EMPTY, Graph, Node, Workflow, rerouteChain } from './model.js';
import { plain } from './plain.js';

/** @typedef {import('./model.js').Slot} Slot */
/** @typedef {import('./model.js').Link} Link */
/** @typedef {import('./model.js').IoSlot} IoSlot */
/** @typedef {Record<string, any>} Json */

/** @param {Json} object @param {string[]} known @returns {Json} the other keys */
function others(object, known) {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !known.includes(key)));
}

/** @param {any} value pair as [a, b] or {0: a, 1: b} @param {[number, number]} fallback @returns {[number, number]} */
function pair(value, fallback) {
  if (value && typeof value === 'object' && Number.isFinite(value[0]) && Number.isFinite(value[1])) return [value[0], value[1]];
  return fallback;
}

const NODE_KEYS = ['id', 'type', 'pos', 'size', 'flags', 'order', 'mode', 'inputs', 'outputs', 'properties', 'widgets_values', 'widgets_values_named', 'title', 'color', 'bgcolor'];

/** @param {Json} data takes ownership of it @returns {Node} */
export function nodeFromJson(data) {
  const node = new Node(data.id, data.type);
  node.pos = pair(data.pos, [0, 0]);
  node.size = pair(data.size, [210, 60]);
  node.flags = data.flags ?? {};
  node.order = data.order ?? 0;
  node.mode = data.mode ?? 0;
  node.title = data.title;
  node.color = data.color;
  node.bgcolor = data.bgcolor;
  node.properties = data.properties ?? {};
  node.values = data.widgets_values;
  node.named = data.widgets_values_named;
  node.inputs = (data.inputs ?? []).map((/** @type {Json} */ slot) => readSlot(slot, 'link'));
  node.outputs = (data.outputs ?? []).map((/** @type {Json} */ slot) => readSlot(slot, 'links'));
  node.had = new Set(NODE_KEYS.filter((key) => key in data));
  node.rest = others(data, NODE_KEYS);
  return node;
}

/** @param {Json} slot becomes the slot @param {'link'|'links'} key @returns {Slot} */
function readSlot(slot, key) {
  const empty = key in slot ? (key === 'link' || slot[key] === null ? null : []) : undefined;
  const links = key === 'link' ? (slot.link ?? null) : [...(slot.links ?? [])];
  slot[key] = links;
  /** @type {any} */ (slot)[EMPTY] = empty;
  return /** @type {any} */ (slot);
}

/** @param {any} slot @param {'link'|'links'} key @returns {Json} */
function writeSlot(slot, key) {
  const out = { ...slot };
  delete out[EMPTY];
  const value = slot[key];
  if (value === null || value.length === 0) {
    if (slot[EMPTY] === undefined) delete out[key];
    else out[key] = key === 'links' && slot[EMPTY] ? [] : null;
  } else if (key === 'links') out.links = [...value];
  return out;
}

/** @param {Node} node @returns {Json} */
export function nodeToJson(node) {
  /** @type {Json} */ const out = { id: node.id, type: node.type };
  out.pos = [...node.pos];
  out.size = [...node.size];
  /** @param {string} key @param {any} value @param {boolean} set */
  const put = (key, value, set) => {
    if (set || node.had.has(key)) out[key] = value;
  };
  put('flags', { ...node.flags }, Object.keys(node.flags).length > 0);
  put('order', node.order, node.order !== 0);
  put('mode', node.mode, node.mode !== 0);
  put('inputs', node.inputs.map((slot) => writeSlot(slot, 'link')), node.inputs.length > 0);
  put('outputs', node.outputs.map((slot) => writeSlot(slot, 'links')), node.outputs.length > 0);
  if (node.title !== undefined) out.title = node.title;
  if (node.color !== undefined) out.color = node.color;
  if (node.bgcolor !== undefined) out.bgcolor = node.bgcolor;
  put('properties', plain(node.properties), Object.keys(node.properties).length > 0);
  if (node.values !== undefined) out.widgets_values = plain(node.values);
  if (node.named !== undefined) out.widgets_values_named = plain(node.named);
  return { ...out, ...plain(node.rest) };
}

const LINK_KEYS = ['id', 'origin_id', 'origin_slot', 'target_id', 'target_slot', 'type', 'parentId'];

/** @param {any} raw an array (0.4) or an object (1) @param {number} z @returns {Link} */
function readLink(raw, z) {
  if (Array.isArray(raw)) {
    const [id, from, fromSlot, to, toSlot, type, ...more] = raw;
    return { id, from, fromSlot, to, toSlot, type, z, ...(more.length ? { rest: { more } } : {}) };
  }
  const rest = others(raw, LINK_KEYS);
  const link = { id: raw.id, from: raw.origin_id, fromSlot: raw.origin_slot, to: raw.target_id, toSlot: raw.target_slot, type: raw.type, z };
  return { ...link, ...(raw.parentId !== undefined ? { parent: raw.parentId } : {}), ...(Object.keys(rest).length ? { rest } : {}) };
}

/** @param {Link} link @returns {Json} */
function linkToObject(link) {
  const out = { id: link.id, origin_id: link.from, origin_slot: link.fromSlot, target_id: link.to, target_slot: link.toSlot, type: link.type };
  return { ...out, ...(link.parent !== undefined ? { parentId: link.parent } : {}), ...link.rest };
}

/** @param {Link} link @returns {any[]} */
function linkToArray(link) {
  return [link.id, link.from, link.fromSlot, link.to, link.toSlot, link.type, ...(/** @type {any} */ (link.rest)?.more ?? [])];
}

/** Reads nodes, links, reroutes and groups, which both formats share. @param {Graph} graph @param {Json} data */
function readBody(graph, data) {
  for (const raw of data.nodes ?? []) {
    const node = nodeFromJson(raw);
    node.z = graph.nextZ++;
    if (typeof node.id === 'number') graph.lastNode = Math.max(graph.lastNode, node.id);
    graph.place(node);
  }
  for (const raw of data.links ?? []) {
    if (!raw) continue;
    const link = readLink(raw, graph.nextZ++);
    if (canHold(graph, link)) graph.links.set(link.id, link);
    graph.lastLink = Math.max(graph.lastLink, link.id);
  }
  for (const { id, parentId } of data.extra?.linkExtensions ?? []) {
    const link = graph.links.get(id);
    if (link && parentId !== undefined) link.parent = parentId;
  }
  for (const raw of data.reroutes ?? data.extra?.reroutes ?? []) readReroute(graph, raw);
  for (const raw of data.groups ?? []) readGroup(graph, raw);
  settleSlots(graph);
}

/** @param {Graph} graph @param {Json} raw */
function readReroute(graph, raw) {
  const rest = others(raw, ['id', 'pos', 'parentId', 'linkIds']);
  const reroute = { id: raw.id, pos: pair(raw.pos, [0, 0]), linkIds: raw.linkIds, z: graph.nextZ++, rest };
  graph.reroutes.set(raw.id, raw.parentId === undefined ? reroute : { ...reroute, parent: raw.parentId });
  graph.lastReroute = Math.max(graph.lastReroute, raw.id);
}

/** @param {Graph} graph @param {Json} raw */
function readGroup(graph, raw) {
  const id = raw.id ?? graph.lastGroup + 1;
  const rest = others(raw, ['id', 'title', 'bounding', 'color', 'font_size', 'flags']);
  if (raw.id === undefined) rest.noId = true;
  const [x = 0, y = 0, w = 140, h = 80] = Object.values(raw.bounding ?? []);
  graph.groups.set(id, { id, title: raw.title ?? '', box: [x, y, w, h], color: raw.color, fontSize: raw.font_size, flags: raw.flags, z: graph.nextZ++, rest });
  graph.lastGroup = Math.max(graph.lastGroup, id);
}

/** Whether both ends of a link exist. @param {Graph} graph @param {Link} link */
function canHold(graph, link) {
  const from = link.from === -10 ? graph.inputs[link.fromSlot] : graph.node(link.from)?.outputs[link.fromSlot];
  const to = link.to === -20 ? graph.outputs[link.toSlot] : graph.node(link.to)?.inputs[link.toSlot];
  if (!from || !to) return false;
  // An id written as "12" at one place and 12 at another means the same node.
  if (link.from !== -10) link.from = /** @type {Node} */ (graph.node(link.from)).id;
  if (link.to !== -20) link.to = /** @type {Node} */ (graph.node(link.to)).id;
  return true;
}

/** Makes the sockets agree with the links: order as in the file, what is not there dropped, what is missing added. @param {Graph} graph */
function settleSlots(graph) {
  /** @type {Map<any, Set<number>>} */ const out = new Map();
  for (const link of graph.links.values()) {
    const slot = link.from === -10 ? graph.inputs[link.fromSlot] : /** @type {Node} */ (graph.node(link.from)).outputs[link.fromSlot];
    out.set(slot, (out.get(slot) ?? new Set()).add(link.id));
  }
  /** @param {any} slot @param {number[]} ids */
  const ordered = (slot, ids) => {
    const real = out.get(slot) ?? new Set();
    const kept = ids.filter((id) => real.has(id));
    return [...new Set([...kept, ...real])];
  };
  for (const node of graph.nodes.values()) {
    for (const slot of node.outputs) slot.links = ordered(slot, slot.links ?? []);
    node.inputs.forEach((slot, i) => {
      const link = graph.link(slot.link);
      if (!link || link.to !== node.id || link.toSlot !== i) slot.link = null;
    });
  }
  for (const slot of graph.inputs) slot.linkIds = ordered(slot, slot.linkIds ?? []);
  for (const slot of graph.outputs) slot.linkIds = (slot.linkIds ?? []).filter((id) => graph.links.has(id));
  for (const link of graph.links.values()) {
    if (link.to === -20) continue;
    const slot = /** @type {Node} */ (graph.node(link.to)).inputs[link.toSlot];
    if (slot.link === null) slot.link = link.id;
  }
}

const FLOW_KEYS = ['last_node_id', 'last_link_id', 'nodes', 'links', 'groups', 'extra', 'version', 'definitions', 'state', 'reroutes'];
const EXTRA_KEYS = ['reroutes', 'linkExtensions'];

/** @param {any} data the parsed file @param {import('./defs.js').Defs} defs @param {boolean} [bind] false: nobody will look at the nodes' widgets @returns {Workflow} */
export function workflowFromJson(data, defs, bind = true) {
  if (!data || typeof data !== 'object' || !Array.isArray(data.nodes)) throw new Error('This is not a workflow: it has no list of nodes.');
  const copy = plain(data);
  const flow = new Workflow(defs);
  const root = flow.root;
  readDefinitions(flow, copy.definitions, '');
  flow.rest = others(copy, FLOW_KEYS);
  flow.had = new Set(FLOW_KEYS.filter((key) => key in copy));
  readBody(root, copy);
  root.lastNode = Math.max(root.lastNode, copy.last_node_id ?? copy.state?.lastNodeId ?? 0);
  root.lastLink = Math.max(root.lastLink, copy.last_link_id ?? copy.state?.lastLinkId ?? 0);
  root.lastReroute = Math.max(root.lastReroute, copy.state?.lastRerouteId ?? 0);
  root.extra = others(copy.extra ?? {}, EXTRA_KEYS);
  root.rest = copy.definitions ? others(copy.definitions, ['subgraphs']) : {};
  if (bind) flow.rebind();
  return flow;
}

/** @param {Workflow} flow @param {Json|undefined} definitions @param {string} home */
function readDefinitions(flow, definitions, home) {
  for (const data of definitions?.subgraphs ?? []) graphFromJson(data, flow, home);
}

const GRAPH_KEYS = ['id', 'name', 'state', 'nodes', 'links', 'reroutes', 'groups', 'extra', 'inputs', 'outputs', 'inputNode', 'outputNode', 'definitions'];

/** Reads a subgraph definition into the workflow. @param {Json} data takes ownership @param {Workflow} flow @param {string} home @returns {Graph} */
export function graphFromJson(data, flow, home) {
  const graph = new Graph(flow, data.id);
  graph.home = home;
  graph.name = data.name ?? 'Subgraph';
  graph.inputs = data.inputs ?? [];
  graph.outputs = data.outputs ?? [];
  graph.inputBox = data.inputNode?.bounding ?? graph.inputBox;
  graph.outputBox = data.outputNode?.bounding ?? graph.outputBox;
  flow.subs.set(graph.id, graph);
  readBody(graph, data);
  const state = data.state ?? {};
  graph.lastNode = Math.max(graph.lastNode, state.lastNodeId ?? 0);
  graph.lastLink = Math.max(graph.lastLink, state.lastLinkId ?? 0);
  graph.lastReroute = Math.max(graph.lastReroute, state.lastRerouteId ?? 0);
  graph.lastGroup = Math.max(graph.lastGroup, state.lastGroupId ?? 0);
  graph.extra = data.extra ?? {};
  graph.had = new Set(GRAPH_KEYS.filter((key) => key in data));
  graph.rest = { ...others(data, GRAPH_KEYS), io: [others(data.inputNode ?? {}, ['bounding']), others(data.outputNode ?? {}, ['bounding'])] };
  readDefinitions(flow, data.definitions, graph.id);
  return graph;
}

/** Items in file order. @template {{z: number}} T @param {Map<any, T>} map @returns {T[]} */
function sorted(map) {
  return [...map.values()].sort((a, b) => a.z - b.z);
}

/** @param {Graph} graph @returns {Json[]} */
function reroutesToJson(graph) {
  /** @type {Map<number, number[]>} */ const through = new Map();
  for (const link of sorted(graph.links)) for (const { id } of rerouteChain(graph, link)) through.set(id, [...(through.get(id) ?? []), link.id]);
  return sorted(graph.reroutes).map((reroute) => {
    const now = new Set(through.get(reroute.id) ?? []);
    const kept = (reroute.linkIds ?? []).filter((id) => now.has(id));
    const parent = reroute.parent === undefined ? {} : { parentId: reroute.parent };
    return { id: reroute.id, ...parent, pos: [...reroute.pos], linkIds: [...new Set([...kept, ...now])], ...reroute.rest };
  });
}

/** @param {Graph} graph @returns {Json[]} */
function groupsToJson(graph) {
  return sorted(graph.groups).map((group) => {
    const { noId, ...rest } = /** @type {Json} */ (group.rest ?? {});
    /** @type {Json} */ const out = { ...(noId ? {} : { id: group.id }), title: group.title, bounding: [...group.box] };
    if (group.color !== undefined) out.color = group.color;
    if (group.fontSize !== undefined) out.font_size = group.fontSize;
    if (group.flags !== undefined) out.flags = { ...group.flags };
    return { ...out, ...rest };
  });
}

/** A subgraph definition, with the definitions written inside it. @param {Graph} graph @returns {Json} */
export function graphToJson(graph) {
  const { io = [{ id: -10 }, { id: -20 }], ...rest } = plain(graph.rest);
  const state = { lastGroupId: graph.lastGroup, lastNodeId: graph.lastNode, lastLinkId: graph.lastLink, lastRerouteId: graph.lastReroute };
  /** @type {Json} */ const out = { id: graph.id, version: 1, ...rest, state, name: graph.name };
  out.inputNode = { ...io[0], bounding: [...graph.inputBox] };
  out.outputNode = { ...io[1], bounding: [...graph.outputBox] };
  out.inputs = graph.inputs.map((slot) => ({ ...slot, linkIds: [...slot.linkIds] }));
  out.outputs = graph.outputs.map((slot) => ({ ...slot, linkIds: [...slot.linkIds] }));
  out.nodes = sorted(graph.nodes).map(nodeToJson);
  out.links = sorted(graph.links).map(linkToObject);
  if (graph.reroutes.size || graph.had.has('reroutes')) out.reroutes = reroutesToJson(graph);
  if (graph.groups.size || graph.had.has('groups')) out.groups = groupsToJson(graph);
  if (Object.keys(graph.extra).length || graph.had.has('extra')) out.extra = plain(graph.extra);
  const inner = [...graph.flow.subs.values()].filter((sub) => sub.home === graph.id);
  if (inner.length || graph.had.has('definitions')) out.definitions = { subgraphs: inner.map(graphToJson) };
  return out;
}

/** The file. @param {Workflow} flow @returns {Json} */
export function workflowToJson(flow) {
  const root = flow.root;
  const links = sorted(root.links);
  /** @type {Json} */ const out = { ...plain(flow.rest), last_node_id: root.lastNode, last_link_id: root.lastLink };
  out.nodes = sorted(root.nodes).map(nodeToJson);
  out.links = links.map(linkToArray);
  if (root.groups.size || flow.had.has('groups') || !flow.had.size) out.groups = groupsToJson(root);
  const extra = plain(root.extra);
  if (root.reroutes.size) {
    extra.reroutes = reroutesToJson(root);
    extra.linkExtensions = links.filter((link) => link.parent !== undefined).map((link) => ({ id: link.id, parentId: link.parent }));
  }
  if (Object.keys(extra).length || flow.had.has('extra') || !flow.had.size) out.extra = extra;
  const subs = [...flow.subs.values()].filter((sub) => sub.home === '');
  if (subs.length || flow.had.has('definitions')) out.definitions = { ...plain(root.rest), subgraphs: subs.map(graphToJson) };
  out.version = 0.4;
  return out;
}
