/** An open document: its workflow, what can be undone, what is selected, where one looks, and the run it belongs to. */

import { signal } from '../vendor/preact.js';
import { Emitter } from './events.js';
import { RunState } from './run.js';
import { Edit, applyAll } from '../graph/record.js';
import { History } from '../graph/undo.js';
import { workflowFromJson, workflowToJson } from '../graph/json.js';
import { Workflow } from '../graph/model.js';

/** @typedef {import('../graph/model.js').NodeId} NodeId */
/** @typedef {import('../graph/record.js').Patch} Patch */
/** @typedef {{x: number, y: number, scale: number}} Camera screen = (world + (x, y)) * scale */
/** @typedef {{nodes: Set<NodeId>, groups: Set<number>, reroutes: Set<number>}} Selection */

/** @returns {Selection} */
const nothing = () => ({ nodes: new Set(), groups: new Set(), reroutes: new Set() });

export class Doc extends Emitter {
  /** @param {Workflow} flow @param {{name?: string, file?: string|null}} [more] */
  constructor(flow, { name = '', file = null } = {}) {
    super();
    this.flow = flow;
    /** @type {string} */ this.id = typeof flow.rest.id === 'string' && flow.rest.id ? flow.rest.id : (flow.rest.id = crypto.randomUUID());
    this.name = signal(name);
    /** @type {import('../vendor/preact.js').Signal<string|null>} */ this.file = signal(file);
    this.dirty = signal(false);
    this.rev = signal(0);
    this.selected = signal(0);
    /** @type {import('../vendor/preact.js').Signal<NodeId[]>} */ this.trail = signal([]);
    this.graph = flow.root;
    this.history = new History();
    /** @type {Selection} */ this.selection = nothing();
    /** @type {Camera} */ this.camera = cameraOf(flow.root.extra.ds) ?? { x: 0, y: 0, scale: 1 };
    this.framed = Boolean(cameraOf(flow.root.extra.ds));
    /** @type {Map<string, Camera>} */ this.cameras = new Map();
    this.run = new RunState(this);
    /** @type {Gesture|null} */ this.open = null;
  }

  /** @param {any} data a parsed file @param {import('../graph/defs.js').Defs} defs @param {{name?: string, file?: string|null}} [more] */
  static read(data, defs, more) {
    return new Doc(workflowFromJson(data, defs), more);
  }

  /** @param {import('../graph/defs.js').Defs} defs @param {string} name */
  static blank(defs, name) {
    return new Doc(new Workflow(defs), { name });
  }

  /** The file, with the place one looks at. */
  toJson() {
    const data = workflowToJson(this.flow);
    const { x, y, scale } = this.graph === this.flow.root ? this.camera : (this.cameras.get('') ?? this.camera);
    data.extra = { ...data.extra, ds: { scale, offset: [x, y] } };
    return data;
  }

  /** One undo entry. @template T @param {string} label @param {(e: Edit) => T} fn @returns {T} */
  edit(label, fn) {
    if (this.open) return this.open.edit(fn);
    const gesture = this.gesture(label);
    try {
      const result = gesture.edit(fn);
      gesture.done();
      return result;
    } catch (error) {
      gesture.cancel();
      throw error;
    }
  }

  /** Many edits, one undo entry. @param {string} label */
  gesture(label) {
    this.open?.done();
    return (this.open = new Gesture(this, label));
  }

  undo() {
    this.open?.done();
    const patch = this.history.undo();
    if (patch) this.replay(patch.undo);
    return patch;
  }

  redo() {
    this.open?.done();
    const patch = this.history.redo();
    if (patch) this.replay(patch.do);
    return patch;
  }

  /** @param {import('../graph/change.js').Change[]} changes */
  replay(changes) {
    applyAll(this.flow, changes);
    this.changed(changes);
    const at = changes.findLast((change) => change.g !== undefined)?.g;
    if (at !== undefined && at !== this.graph.id && this.flow.subs.has(this.graph.id) === false && this.graph !== this.flow.root) this.show([]);
  }

  /** @param {import('../graph/change.js').Change[]} changes */
  changed(changes) {
    if (!changes.length) return;
    this.dirty.value = true;
    this.rev.value += 1;
    /** @type {Map<string, import('../graph/change.js').Change[]>} */ const byGraph = new Map();
    for (const change of changes) {
      const list = byGraph.get(change.g ?? '');
      if (list) list.push(change);
      else byGraph.set(change.g ?? '', [change]);
    }
    this.forget();
    for (const [graph, list] of byGraph) this.emit('change', { graph, changes: list });
  }

  /** Drops what is selected but gone. */
  forget() {
    const { nodes, groups, reroutes } = this.selection;
    const before = nodes.size + groups.size + reroutes.size;
    for (const id of nodes) if (!this.graph.nodes.has(id)) nodes.delete(id);
    for (const id of groups) if (!this.graph.groups.has(id)) groups.delete(id);
    for (const id of reroutes) if (!this.graph.reroutes.has(id)) reroutes.delete(id);
    if (nodes.size + groups.size + reroutes.size !== before) this.selectionChanged();
  }

  selectionChanged() {
    this.selected.value += 1;
    this.emit('select');
  }

  /** @param {{nodes?: Iterable<NodeId>, groups?: Iterable<number>, reroutes?: Iterable<number>}} items @param {'set'|'add'|'toggle'|'remove'} [mode] */
  select(items, mode = 'set') {
    if (mode === 'set') this.selection = nothing();
    for (const kind of /** @type {const} */ (['nodes', 'groups', 'reroutes'])) {
      const set = /** @type {Set<any>} */ (this.selection[kind]);
      for (const id of items[kind] ?? []) {
        if (mode === 'remove' || (mode === 'toggle' && set.has(id))) set.delete(id);
        else set.add(id);
      }
    }
    this.selectionChanged();
  }

  /** @param {Camera} camera */
  setCamera(camera) {
    this.camera = camera;
    this.framed = true;
    this.emit('camera');
  }

  /** Looks into an instance of a subgraph. @param {NodeId} id */
  enter(id) {
    const node = this.graph.node(id);
    if (node && this.flow.subs.has(node.type)) this.show([...this.trail.value, node.id]);
  }

  leave() {
    if (this.trail.value.length) this.show(this.trail.value.slice(0, -1));
  }

  /** @param {NodeId[]} trail the instances entered, outermost first */
  show(trail) {
    this.open?.done();
    this.cameras.set(this.viewKey(), this.camera);
    let graph = this.flow.root;
    for (const id of trail) graph = this.flow.graph(graph.node(id)?.type ?? '');
    const came = this.trail.value.length > trail.length ? this.trail.value[trail.length] : undefined;
    this.graph = graph;
    this.trail.value = trail;
    const camera = this.cameras.get(this.viewKey());
    this.framed = Boolean(camera);
    this.camera = camera ?? { x: 0, y: 0, scale: 1 };
    this.selection = nothing();
    if (came !== undefined) this.selection.nodes.add(came);
    this.emit('view');
    this.selectionChanged();
  }

  viewKey() {
    return this.trail.value.join(':');
  }

  /** The path id of a node in view: what the server calls it. @param {NodeId} id */
  key(id) {
    return [...this.trail.value, id].join(':');
  }

  /** The node in view that a path id belongs to, if it does. @param {string} path @returns {NodeId|undefined} */
  inView(path) {
    const prefix = this.trail.value.length ? `${this.viewKey()}:` : '';
    if (!path.startsWith(prefix)) return undefined;
    const [id] = path.slice(prefix.length).split(':');
    return this.graph.node(id)?.id;
  }

  /** Goes where a path id is and selects it. @param {string} path @returns {NodeId|undefined} */
  goTo(path) {
    const ids = path.split(':');
    let graph = this.flow.root;
    /** @type {NodeId[]} */ const trail = [];
    for (const part of ids.slice(0, -1)) {
      const node = graph.node(part);
      if (!node || !this.flow.subs.has(node.type)) return undefined;
      trail.push(node.id);
      graph = this.flow.graph(node.type);
    }
    const node = graph.node(ids[ids.length - 1]);
    if (!node) return undefined;
    if (trail.join(':') !== this.viewKey()) this.show(trail);
    this.select({ nodes: [node.id] });
    return node.id;
  }

  dispose() {
    this.run.dispose();
    this.listeners.clear();
  }
}

export class Gesture {
  /** @param {Doc} doc @param {string} label */
  constructor(doc, label) {
    this.doc = doc;
    this.e = new Edit(doc.flow, doc.graph, label);
  }

  /** @template T @param {(e: Edit) => T} fn @returns {T} */
  edit(fn) {
    const result = fn(this.e);
    this.doc.changed(this.e.settle());
    return result;
  }

  done() {
    if (this.doc.open === this) this.doc.open = null;
    if (this.e.done.length) this.doc.history.push(this.e.patch());
    this.e = new Edit(this.doc.flow, this.doc.graph, this.e.label);
  }

  cancel() {
    if (this.doc.open === this) this.doc.open = null;
    this.doc.changed(this.e.rollback());
  }
}

/** @param {any} ds @returns {Camera|null} */
function cameraOf(ds) {
  const [x, y] = ds?.offset ?? [];
  return Number.isFinite(x) && Number.isFinite(y) && ds.scale > 0 ? { x, y, scale: ds.scale } : null;
}
