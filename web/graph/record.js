/** Recording edits: an Edit applies changes as they come and keeps what undoes them; a Patch is both lists as data. */

import { applyChange } from './change.js';

/** @typedef {import('./model.js').Workflow} Workflow */
/** @typedef {import('./model.js').Graph} Graph */
/** @typedef {import('./change.js').Change} Change */
/** @typedef {{label: string, do: Change[], undo: Change[]}} Patch */

export class Edit {
  /** @param {Workflow} flow @param {Graph} graph the graph the edit is about @param {string} [label] */
  constructor(flow, graph, label = '') {
    this.flow = flow;
    this.graph = graph;
    this.label = label;
    /** @type {Change[]} */ this.done = [];
    /** @type {Change[]} inverses, the first change's first */ this.inverses = [];
    /** @type {Change[]} applied since the last settling */ this.fresh = [];
  }

  /** @param {Change} change */
  change(change) {
    if (change.g === undefined && !change.op.startsWith('sub')) change.g = this.graph.id;
    const inverse = applyChange(this.flow, change);
    this.fresh.push(change);
    const last = this.done.at(-1);
    if (last && merges(last, change)) {
      this.done[this.done.length - 1] = { ...change, ...(change.set ? { set: { ...last.set, ...change.set } } : {}) };
      return;
    }
    this.done.push(change);
    this.inverses.push(inverse);
  }

  /** The same edit, about another graph. @param {Graph} graph @param {() => any} run */
  within(graph, run) {
    const outer = this.graph;
    this.graph = graph;
    try {
      return run();
    } finally {
      this.graph = outer;
    }
  }

  /** Brings derived data up to date and returns the changes since the last time. */
  settle() {
    const fresh = this.fresh;
    this.fresh = [];
    settle(this.flow, fresh);
    return fresh;
  }

  /** @returns {Patch} */
  patch() {
    return { label: this.label, do: this.done, undo: [...this.inverses].reverse() };
  }

  /** Takes everything back. @returns {Change[]} */
  rollback() {
    const undo = this.patch().undo;
    applyAll(this.flow, undo);
    this.done = [];
    this.inverses = [];
    this.fresh = [];
    return undo;
  }
}

/** Whether a change only repeats the one before it on the same keys. @param {Change} last @param {Change} next */
function merges(last, next) {
  if (last.op !== next.op || last.g !== next.g || last.id !== next.id) return false;
  if (next.op === 'value') return last.key === next.key;
  if (!next.op.endsWith('=') || next.op === 'slot=' || next.op === 'io=') return false;
  const keys = Object.keys(next.set);
  return keys.length === Object.keys(last.set).length && keys.every((key) => key in last.set);
}

/** Applies a list of changes and brings derived data up to date. @param {Workflow} flow @param {Change[]} changes */
export function applyAll(flow, changes) {
  for (const change of changes) applyChange(flow, change);
  settle(flow, changes);
}

/**
 * Nodes whose ports depend on values, links or the inside of a subgraph are bound anew.
 * @param {Workflow} flow @param {Change[]} changes
 */
export function settle(flow, changes) {
  const subs = new Set();
  const cut = new Set();
  let definitions = false;
  for (const change of changes) {
    if (change.op === 'sub+' || change.op === 'sub-') definitions = true;
    else if (change.g) subs.add(change.g);
    const graph = change.g === undefined ? undefined : change.g === '' ? flow.root : flow.subs.get(change.g);
    if (!graph) continue;
    if (change.op === 'link-') cut.add(graph);
    else if (change.op === 'value') rebindIfDynamic(flow, graph, change.id);
    else if (change.op === 'link+') rebindIfDynamic(flow, graph, change.link.from), rebindIfDynamic(flow, graph, change.link.to);
  }
  // A link that is gone does not say whose it was, and few nodes care.
  for (const graph of cut) for (const node of graph.list) if (node.def?.dynamic) flow.bind(node, graph);
  if (definitions) flow.rebind();
  else if (subs.size) for (const id of flow.innerFirst()) if (touches(flow, id, subs)) flow.rebindInstances(id);
}

/** @param {Workflow} flow @param {Graph} graph @param {any} id */
function rebindIfDynamic(flow, graph, id) {
  const node = id === undefined ? undefined : graph.node(id);
  if (node?.def?.dynamic) flow.bind(node, graph);
}

/** Whether a definition, or one inside it, is among those changed. @param {Workflow} flow @param {string} id @param {Set<string>} subs */
function touches(flow, id, subs) {
  if (subs.has(id)) return true;
  for (const node of flow.subs.get(id)?.nodes.values() ?? []) if (flow.subs.has(node.type) && subs.has(node.type)) return subs.add(id), true;
  return false;
}
