/** What the server has told of a document's runs: states, progress, pictures and errors, by path id. */

import { signal } from '../vendor/preact.js';

/** @typedef {import('../graph/model.js').NodeId} NodeId */
/** @typedef {'idle'|'wait'|'run'|'done'|'cached'|'error'} State */
/** @typedef {{state: State, value: number, max: number, since?: number, ms?: number, bytes?: number, error?: string}} NodeState */
/** @typedef {{path: string, type: string, message: string, details?: string, input?: string, traceback?: string[]}} RunError */

/** Less memory than this is noise of the allocator. */
const WORTH_SAYING = 2 ** 20;

/** @type {NodeState} */
const IDLE = { state: 'idle', value: 0, max: 0 };

export class RunState {
  /** @param {import('./doc.js').Doc} doc */
  constructor(doc) {
    this.doc = doc;
    /** @type {Map<string, NodeState>} */ this.nodes = new Map();
    /** @type {Map<string, any>} */ this.outputs = new Map();
    /** @type {Map<string, any>} */ this.before = new Map();
    /** @type {Map<string, {blob: Blob, n: number}>} */ this.previews = new Map();
    /** @type {Map<string, string>} what nodes had to say when they last ran */ this.notes = new Map();
    /** @type {import('../vendor/preact.js').Signal<RunError[]>} */ this.errors = signal([]);
    /** @type {import('../vendor/preact.js').Signal<string|null>} prompt that runs now */ this.prompt = signal(null);
    /** @type {import('../vendor/preact.js').Signal<number>} prompts sent and not ended */ this.pending = signal(0);
    this.progress = signal({ done: 0, total: 0, label: '', value: 0, max: 0 });
    this.total = 0;
    this.started = 0;
    /** @type {Record<string, any>|undefined} the prompt sent last, by path id */ this.prompted = undefined;
    /** @type {string|undefined} the ended job whose output is shown */ this.seen = undefined;
  }

  /** @param {import('./doc.js').Doc} doc @param {NodeId} id @returns {NodeState} */
  stateOf(doc, id) {
    const key = doc.key(id);
    const own = this.nodes.get(key);
    if (own || !doc.flow.subs.has(doc.graph.node(id)?.type ?? '')) return own ?? IDLE;
    return this.summed(`${key}:`);
  }

  /** An instance of a subgraph shows what goes on inside. @param {string} prefix @returns {NodeState} */
  summed(prefix) {
    const inside = [...this.nodes].filter(([path]) => path.startsWith(prefix)).map(([, state]) => state);
    if (!inside.length) return IDLE;
    const running = inside.find((one) => one.state === 'run');
    const failed = inside.find((one) => one.state === 'error');
    const state = failed ? 'error' : running ? 'run' : inside.every((one) => one.state === 'cached') ? 'cached' : inside.some((one) => one.state === 'wait') ? 'wait' : 'done';
    const ms = inside.reduce((sum, one) => sum + (one.ms ?? 0), 0);
    const bytes = Math.max(0, ...inside.map((one) => one.bytes ?? 0));
    return { state, value: running?.value ?? 0, max: running?.max ?? 0, ms, bytes, error: failed?.error };
  }

  /** @param {string} key */
  output(key) {
    return this.outputs.get(key);
  }

  /** @param {string} key */
  preview(key) {
    return this.previews.get(key);
  }

  /** The inputs a node was sent with last. @param {string} path @returns {Record<string, any>|undefined} */
  sent(path) {
    return this.prompted?.[path]?.inputs;
  }

  /** The output before the newest one. @param {string} key */
  last(key) {
    return this.before.get(key);
  }

  /** @param {string} path @param {Partial<NodeState>} set */
  put(path, set) {
    const old = this.nodes.get(path) ?? IDLE;
    const next = { ...old, ...set };
    if (old.state === next.state && old.value === next.value && old.max === next.max && old.error === next.error && old.ms === next.ms && old.bytes === next.bytes) return;
    if (next.state === 'run' && old.state !== 'run') next.since = performance.now();
    if (next.state === 'done' && old.state === 'run' && set.ms === undefined) next.ms = performance.now() - (old.since ?? performance.now());
    this.nodes.set(path, next);
    this.tell([path]);
  }

  /** @param {Iterable<string>} paths */
  tell(paths) {
    const ids = new Set();
    for (const path of paths) {
      const id = this.doc.inView(path);
      if (id !== undefined) ids.add(id);
    }
    if (ids.size) this.doc.emit('run', { ids });
  }

  /** @param {string} path */
  tellMedia(path) {
    const id = this.doc.inView(path);
    if (id !== undefined) this.doc.emit('media', { id });
  }

  /** A run begins. @param {string} promptId @param {string[]} paths the nodes sent */
  begin(promptId, paths) {
    this.prompt.value = promptId;
    this.nodes = new Map(paths.map((path) => [path, { state: 'wait', value: 0, max: 0 }]));
    this.errors.value = [];
    this.total = paths.length;
    this.started = performance.now();
    this.dropPreviews();
    this.count();
    this.doc.emit('run', { ids: null });
  }

  /** @param {string[]} paths */
  cached(paths) {
    for (const path of paths) this.nodes.set(path, { state: 'cached', value: 0, max: 0 });
    this.count();
    this.tell(paths);
  }

  /** A full snapshot of what runs. @param {Record<string, any>} nodes */
  snapshot(nodes) {
    for (const [path, { value, max, state }] of Object.entries(nodes)) {
      if (state === 'running') this.put(path, { state: 'run', value, max });
      else if (state === 'finished') this.put(path, { state: this.nodes.get(path)?.state === 'cached' ? 'cached' : 'done', value, max });
      else if (state === 'error') this.put(path, { state: 'error' });
    }
    this.count();
  }

  /** @param {string} path @param {string} text */
  note(path, text) {
    this.notes.set(path, text);
    this.tell([path]);
  }

  /** What a node took, as the server measured it. @param {string} path @param {number} seconds @param {number} nbytes */
  cost(path, seconds, nbytes) {
    this.put(path, { ms: seconds * 1000, bytes: nbytes >= WORTH_SAYING ? nbytes : 0 });
  }

  /** One node begins; whatever ran before it has ended. @param {string|null} path */
  executing(path) {
    for (const [other, { state }] of this.nodes) if (state === 'run' && other !== path) this.put(other, { state: 'done' });
    if (path !== null) {
      this.notes.delete(path);
      this.put(path, { state: 'run', value: 0, max: 0 });
    }
    this.count();
  }

  /** @param {string} path @param {any} output */
  executed(path, output) {
    if (output) {
      const old = this.outputs.get(path);
      if (old) this.before.set(path, old);
      this.outputs.set(path, output);
    }
    if (this.previews.delete(path) || output) this.tellMedia(path);
    if (this.nodes.get(path)?.state !== 'cached') this.put(path, { state: 'done' });
  }

  /** An output made while nobody looked. @param {string} path @param {any} output */
  shown(path, output) {
    this.outputs.set(path, output);
    this.tellMedia(path);
  }

  /** @param {string} path @param {Blob} blob */
  previewed(path, blob) {
    this.previews.set(path, { blob, n: (this.previews.get(path)?.n ?? 0) + 1 });
    this.tellMedia(path);
  }

  /** The run has ended. @param {RunError} [error] */
  end(error) {
    if (error) this.fail([error]);
    for (const [path, { state }] of this.nodes) {
      if (state === 'wait') this.put(path, { state: 'idle' });
      if (state === 'run') this.put(path, { state: error ? 'idle' : 'done' });
    }
    this.prompt.value = null;
    this.dropPreviews();
    this.count();
  }

  /** @param {RunError[]} errors */
  fail(errors) {
    this.errors.value = errors;
    for (const { path, message, details } of errors) if (path) this.put(path, { state: 'error', error: sentence(message, details) });
  }

  clearErrors() {
    this.errors.value = [];
    for (const [path, { state }] of this.nodes) if (state === 'error') this.put(path, { state: 'idle', error: undefined });
  }

  dropPreviews() {
    const paths = [...this.previews.keys()];
    this.previews.clear();
    for (const path of paths) this.tellMedia(path);
  }

  count() {
    let done = 0;
    let now;
    for (const [path, one] of this.nodes) {
      if (one.state === 'done' || one.state === 'cached') done += 1;
      if (one.state === 'run') now = { path, ...one };
    }
    const id = now?.path.split(':')[0];
    const label = id === undefined ? '' : (this.doc.flow.root.node(id)?.label ?? '');
    const next = { done, total: this.total, label, value: now?.value ?? 0, max: now?.max ?? 0 };
    const old = this.progress.peek();
    if (Object.entries(next).some(([key, value]) => old[/** @type {keyof typeof next} */ (key)] !== value)) this.progress.value = next;
  }

  dispose() {
    this.previews.clear();
    this.outputs.clear();
    this.before.clear();
  }
}

/** What is written at a node: not again which node it is, but all that is known. @param {string} message @param {string} [details] */
export function sentence(message, details) {
  const said = message.replace(/^node \S+ \(.*?\): /, '').replace(/^[a-z]+(?= )/, (word) => word[0].toUpperCase() + word.slice(1));
  return details && details !== message && !said.includes(details) ? `${said}: ${details}` : said;
}
