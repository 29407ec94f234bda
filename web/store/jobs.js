/** Prompts sent to the server: the queue, the history, and which document each belongs to. */

import { computed, signal } from '../vendor/preact.js';
import { Edit } from '../graph/record.js';
import { advance, graphToPrompt } from '../graph/prompt.js';
import { setValue } from '../graph/edit.js';
import { valueOf } from '../graph/model.js';
import { ApiError } from '../net/api.js';

/** @typedef {import('./doc.js').Doc} Doc */
/**
 * @typedef {object} Job
 * @property {string} id
 * @property {number} number
 * @property {Record<string, any>} prompt
 * @property {any} workflow
 * @property {import('../ui/sweepgrid.js').Place} [sweep]
 * @property {'running'|'pending'|'done'|'error'|'cancelled'} state
 * @property {Record<string, any>} outputs
 * @property {number} [time] when it was made, ms
 * @property {number} [ms] how long it ran
 * @property {any} [error]
 */

export class Jobs {
  /** @param {any} app */
  constructor(app) {
    this.app = app;
    /** @type {import('../vendor/preact.js').Signal<Job[]>} */ this.queue = signal([]);
    /** @type {import('../vendor/preact.js').Signal<Job[]>} newest first */ this.past = signal([]);
    this.remaining = signal(0);
    this.paused = signal(false);
    /** @type {import('../vendor/preact.js').Signal<Set<string>>} files deleted here, "type/subfolder/name" */ this.deleted = signal(new Set());
    this.loading = signal(false);
    this.count = computed(() => this.queue.value.length);
    /** @type {Map<string, string>} prompt id -> document id */ this.owners = new Map();
    /** @type {Set<string>} sent, and not yet seen in the queue or the history */ this.sent = new Set();
    this.read = false;
    this.advancing = false;
    /** @type {ReturnType<typeof setTimeout>|undefined} */ this.timer = undefined;
    this.listen(app.socket);
  }

  /** @param {import('../net/socket.js').Socket} socket */
  listen(socket) {
    /** @param {string} event @param {(doc: Doc, data: any) => void} fn */
    const on = (event, fn) => socket.on(event, (data) => {
      const doc = this.docOf(data.prompt_id);
      if (doc) fn(doc, data);
    });
    socket.on('open', () => {
      void this.refresh({ all: true });
      this.app.api.json('/queue/state').then((/** @type {any} */ state) => (this.paused.value = Boolean(state?.paused)), () => {});
    });
    socket.on('status', ({ status }) => {
      this.remaining.value = status?.exec_info?.queue_remaining ?? 0;
      this.refreshSoon();
    });
    on('execution_start', (doc, { prompt_id }) => this.started(doc, prompt_id));
    on('execution_cached', (doc, { nodes }) => doc.run.cached(nodes ?? []));
    on('executing', (doc, { node, prompt_id }) => {
      if (node === null || node === undefined) return doc.run.prompt.peek() === prompt_id ? doc.run.end() : undefined;
      if (doc.run.prompt.peek() !== prompt_id) this.started(doc, prompt_id);
      doc.run.executing(String(node));
    });
    on('progress_state', (doc, { nodes }) => doc.run.snapshot(nodes ?? {}));
    on('progress', (doc, { node, value, max }) => node !== undefined && doc.run.put(String(node), { state: 'run', value, max }) === undefined && doc.run.count());
    on('node_cost', (doc, { node, seconds, nbytes }) => doc.run.cost(String(node), seconds, nbytes));
    on('executed', (doc, { node, display_node, output }) => doc.run.executed(String(display_node ?? node), output));
    on('execution_success', (doc, { prompt_id }) => this.ended(doc, prompt_id));
    on('execution_interrupted', (doc, { prompt_id }) => this.ended(doc, prompt_id));
    on('execution_error', (doc, data) => this.ended(doc, data.prompt_id, errorOf(data)));
    socket.on('progress_text', ({ node, text }) => this.runningDoc()?.run.note(node, text));
    socket.on('preview', ({ blob, node, prompt }) => {
      const doc = prompt ? this.docOf(prompt) : this.runningDoc();
      const path = node ?? (doc && [...doc.run.nodes].find(([, one]) => one.state === 'run')?.[0]);
      if (doc && path && this.app.prefs.get('run.previews')) doc.run.previewed(String(path), blob);
    });
  }

  /** @param {Doc} doc @param {string} id */
  started(doc, id) {
    if (doc.run.prompt.peek() === id) return;
    const job = this.queue.peek().find((one) => one.id === id);
    doc.run.begin(id, Object.keys(job?.prompt ?? doc.run.prompted ?? {}));
  }

  /** @param {Doc} doc @param {string} id @param {import('./run.js').RunError} [error] */
  ended(doc, id, error) {
    this.sent.add(id);
    doc.run.end(error);
    this.refreshSoon();
  }

  runningDoc() {
    return this.app.docs.peek().find((/** @type {Doc} */ doc) => doc.run.prompt.peek() !== null);
  }

  /** @param {string|undefined} id @returns {Doc|undefined} */
  docOf(id) {
    if (!id) return undefined;
    const owner = this.owners.get(id);
    return this.app.docs.peek().find((/** @type {Doc} */ doc) => doc.id === owner);
  }

  /**
   * Sends a document to be run.
   * @param {Doc} doc @param {{front?: boolean, count?: number, targets?: string[], change?: (prompt: Record<string, any>, i: number) => any, quiet?: boolean}} [options]
   * @returns {Promise<string[]>} prompt ids
   */
  async run(doc, { front = false, count = 1, targets, change, quiet = false } = {}) {
    const ids = [];
    doc.run.clearErrors();
    for (let i = 0; i < count; i++) {
      const prompt = graphToPrompt(doc.flow);
      const label = change?.(prompt, i);
      const id = crypto.randomUUID();
      this.owners.set(id, doc.id);
      doc.run.prompted = prompt;
      try {
        const workflow = doc.toJson();
        const answer = await this.app.api.prompt({ prompt, prompt_id: id, ...(front ? { front: true } : {}), ...(targets ? { partial_execution_targets: targets } : {}), extra_data: { extra_pnginfo: { workflow, ...(label ? { sweep: label } : {}) } } });
        const given = answer?.prompt_id ?? id;
        this.owners.set(given, doc.id);
        this.sent.add(given);
        ids.push(given);
        if (Object.keys(answer?.node_errors ?? {}).length) doc.run.fail(nodeErrors(answer.node_errors));
      } catch (error) {
        this.refused(doc, error, quiet);
        break;
      }
      if (!change) this.advance(doc);
    }
    this.refreshSoon();
    return ids;
  }

  /** @param {Doc} doc @param {unknown} error @param {boolean} quiet */
  refused(doc, error, quiet) {
    const body = error instanceof ApiError ? error.body : null;
    const errors = nodeErrors(body?.node_errors ?? {});
    // fetch throws a TypeError, and nothing else, when nobody answers.
    const message = error instanceof TypeError ? this.app.t('socket.none') : error instanceof Error ? error.message : String(error);
    if (!errors.length) errors.push({ path: '', type: body?.error?.type ?? 'request', message });
    doc.run.fail(errors);
    if (!quiet) this.app.ui.showErrors(errors);
  }

  /** Seeds that are not fixed take their next value; this is not an edit one undoes. @param {Doc} doc */
  advance(doc) {
    const e = new Edit(doc.flow, doc.flow.root, '');
    advance(e, (node, name, value) => setValue(e, node.id, name, value));
    this.advancing = true;
    doc.changed(e.settle());
    this.advancing = false;
  }

  refreshSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh(), 120);
  }

  /**
   * What is in the queue now; jobs that have left it are looked up one by one, so that a long history is read only once.
   * @param {{all?: boolean}} [options] all: read the history anew
   */
  async refresh({ all = !this.read } = {}) {
    this.loading.value = true;
    try {
      const queue = await this.app.api.queue();
      const running = (queue.queue_running ?? []).map((/** @type {any} */ item) => queued(item, 'running'));
      const pending = (queue.queue_pending ?? []).map((/** @type {any} */ item) => queued(item, 'pending')).sort((/** @type {Job} */ a, /** @type {Job} */ b) => a.number - b.number);
      const left = this.queue.peek().map((job) => job.id).filter((id) => ![...running, ...pending].some((job) => job.id === id));
      this.queue.value = [...running, ...pending];
      this.remaining.value = this.queue.value.length;
      for (const { id } of this.queue.value) this.sent.delete(id);
      const gone = [...new Set([...left, ...this.sent])];
      const entries = all ? await this.app.api.history({ max: 100 }) : Object.assign({}, ...(await Promise.all(gone.map((id) => this.app.api.historyOf(id)))));
      for (const id of Object.keys(entries)) this.sent.delete(id);
      const known = all ? [] : this.past.peek().filter((job) => !(job.id in entries));
      const fresh = Object.entries(entries).map(([id, entry]) => finished(id, entry));
      this.read = true;
      if (all || fresh.length) this.past.value = [...fresh.reverse(), ...known].sort((a, b) => (b.time ?? 0) - (a.time ?? 0)).slice(0, 400);
      this.adopt();
    } catch {
      // The socket says when the server is away.
    } finally {
      this.loading.value = false;
    }
  }

  /** Ties jobs to open documents by the workflow they carry, and shows on the nodes what was made meanwhile. */
  adopt() {
    const docs = new Map(this.app.docs.peek().map((/** @type {Doc} */ doc) => [doc.id, doc]));
    for (const job of [...this.queue.peek(), ...this.past.peek()]) if (!this.owners.has(job.id) && job.workflow?.id) this.owners.set(job.id, job.workflow.id);
    for (const [id, doc] of docs) {
      const mine = this.queue.peek().filter((job) => this.owners.get(job.id) === id);
      doc.run.pending.value = mine.length;
      const running = mine.find((job) => job.state === 'running');
      if (running && doc.run.prompt.peek() !== running.id) doc.run.begin(running.id, Object.keys(running.prompt));
      if (!running && doc.run.prompt.peek() !== null && !mine.some((job) => job.id === doc.run.prompt.peek())) doc.run.end();
      const last = this.past.peek().find((job) => this.owners.get(job.id) === id && Object.keys(job.outputs).length);
      if (last && doc.run.seen !== last.id) {
        doc.run.seen = last.id;
        for (const [path, output] of Object.entries(last.outputs)) if (JSON.stringify(doc.run.output(path)) !== JSON.stringify(output)) doc.run.shown(path, output);
      }
    }
  }

  /** Shows on a fresh document what the same graph made before, in another browser or from the command line. @param {Doc} doc */
  showLast(doc) {
    const stop = this.past.subscribe((/** @type {Job[]} */ past) => {
      if (!this.read) return;
      queueMicrotask(() => stop());
      if (doc.run.outputs.size) return;
      const { nodes } = doc.flow.root;
      const runs = [...nodes.values()].filter((node) => node.def && !node.def.virtual).map((node) => `${node.id}/${node.type}`).sort().join();
      const alike = past.filter((job) => Object.keys(job.outputs).length && Object.entries(job.prompt).map(([id, node]) => `${id}/${node.class_type}`).sort().join() === runs);
      const words = (/** @type {Record<string, any>} */ prompt) => Object.values(prompt).flatMap((node) => Object.values(node.inputs ?? {}).filter((value) => typeof value === 'string')).sort().join('\n');
      const now = words(graphToPrompt(doc.flow));
      const last = alike.find((job) => words(job.prompt) === now) ?? alike[0];
      if (last) for (const [path, output] of Object.entries(last.outputs)) doc.run.shown(path, output);
      else void this.showNewest(doc);
    });
  }

  /** Shows the newest picture whose name begins as a Save node's do. @param {Doc} doc */
  async showNewest(doc) {
    const names = await fetch('internal/files/output').then((answer) => (answer.ok ? answer.json() : []), () => []);
    for (const node of doc.flow.root.nodes.values()) {
      const prefix = node.type === 'SaveImage' ? String(valueOf(node, node.widgets[0]) ?? '') : '';
      const name = prefix && names.map((/** @type {string} */ one) => one.replace(/ \[output\]$/, '')).find((/** @type {string} */ one) => one.startsWith(`${prefix}_`));
      if (name && !doc.run.outputs.size) doc.run.shown(String(node.id), { images: [{ filename: name, subfolder: '', type: 'output' }] });
    }
  }

  /** Starts no more jobs, or starts them again. @param {boolean} paused */
  async pause(paused) {
    const answer = await this.app.api.send(`/queue/${paused ? 'pause' : 'resume'}`, {});
    this.paused.value = Boolean(answer?.paused);
  }

  /** Moves a waiting job: 'front', 'back', or 'before' or 'after' another. @param {string} id @param {string} place @param {string} [other] */
  async move(id, place, other) {
    await this.app.api.send(`/jobs/${encodeURIComponent(id)}/move`, { place, ...(other ? { other } : {}) });
    await this.refresh();
  }

  /** @param {string[]} ids of waiting jobs */
  async cancel(ids) {
    await this.app.api.send('/queue', { delete: ids });
    await this.refresh();
  }

  async stop() {
    const doc = this.app.active.peek();
    await this.app.api.interrupt(doc?.run.prompt.peek() ?? undefined);
  }

  async clearQueue() {
    await this.app.api.send('/queue', { clear: true });
    await this.refresh();
  }

  /** @param {string[]} ids of ended jobs */
  async forget(ids) {
    await this.app.api.send('/history', { delete: ids });
    await this.refresh({ all: true });
  }

  /** Deletes what runs made. @param {import('../net/api.js').FileRef[]} files */
  async deleteFiles(files) {
    for (const { filename, subfolder = '', type = 'output' } of files) {
      await this.app.api.fetch(`/view?${new URLSearchParams({ filename, subfolder, type })}`, { method: 'DELETE' }).catch((/** @type {unknown} */ error) => {
        if (!(error instanceof ApiError) || error.status !== 404) throw error;
      });
      this.deleted.value = new Set([...this.deleted.peek(), `${type}/${subfolder}/${filename}`]);
    }
  }

  async clearPast() {
    await this.app.api.send('/history', { clear: true });
    await this.refresh({ all: true });
  }
}

/** Where a job belongs in a sweep; what others may have written there is not believed. @param {any} extra @returns {import('../ui/sweepgrid.js').Place|undefined} */
function sweepOf(extra) {
  const place = extra?.extra_pnginfo?.sweep;
  const fits = typeof place?.id === 'string' && [place.row, place.column].every((n) => Number.isInteger(n) && n >= 0 && n < 1000);
  return fits ? place : undefined;
}

/** @param {any[]} item @param {Job['state']} state @returns {Job} */
function queued([number, id, prompt, extra], state) {
  return { id, number, prompt, workflow: extra?.extra_pnginfo?.workflow, sweep: sweepOf(extra), state, outputs: {}, time: extra?.create_time };
}

/** @param {string} id @param {any} entry @returns {Job} */
function finished(id, entry) {
  const [number, , prompt, extra] = entry.prompt ?? [];
  const messages = new Map((entry.status?.messages ?? []).map((/** @type {[string, any]} */ [event, data]) => [event, data]));
  const start = messages.get('execution_start')?.timestamp;
  const end = (messages.get('execution_success') ?? messages.get('execution_error') ?? messages.get('execution_interrupted'))?.timestamp;
  const state = messages.has('execution_interrupted') ? 'cancelled' : entry.status?.status_str === 'error' ? 'error' : 'done';
  return { id, number, prompt: prompt ?? {}, workflow: extra?.extra_pnginfo?.workflow, sweep: sweepOf(extra), state, outputs: entry.outputs ?? {}, time: extra?.create_time ?? start, ms: start && end ? end - start : undefined, error: messages.get('execution_error') };
}

/** @param {any} data of an execution_error @returns {import('./run.js').RunError} */
export function errorOf(data) {
  return { path: String(data.node_id ?? ''), type: data.exception_type ?? 'error', message: String(data.exception_message ?? '').trim() || String(data.exception_type ?? data.node_type ?? '?'), traceback: data.traceback };
}

/** @param {Record<string, any>} errors @returns {import('./run.js').RunError[]} */
export function nodeErrors(errors) {
  return Object.entries(errors).flatMap(([path, { errors: list = [] }]) =>
    list.map((/** @type {any} */ one) => ({ path, type: one.type, message: one.sentence ?? one.message, details: one.sentence ? undefined : one.details, input: one.extra_info?.input_name })));
}
