/** Drafts in IndexedDB: every open document, a moment after each change, so that closing the browser loses nothing. */

import { createStore, del, get, set } from '../vendor/idb.js';

const store = () => (made ??= createStore('latent-loom', 'drafts'));
/** @type {any} */ let made;

/** @typedef {{data: any, name: string, file: string|null, dirty: boolean, trail: any[], outputs: [string, any][], time: number}} Draft */

/** @param {import('./doc.js').Doc} doc @returns {Draft} */
function draftOf(doc) {
  return { data: doc.toJson(), name: doc.name.peek(), file: doc.file.peek(), dirty: doc.dirty.peek(), trail: doc.trail.peek(), outputs: [...doc.run.outputs], time: Date.now() };
}

export class Drafts {
  /** @param {() => {docs: import('./doc.js').Doc[], active: import('./doc.js').Doc|null}} open */
  constructor(open) {
    this.open = open;
    /** @type {Map<import('./doc.js').Doc, ReturnType<typeof setTimeout>>} */ this.timers = new Map();
    addEventListener('pagehide', () => this.flush());
    document.addEventListener('visibilitychange', () => document.visibilityState === 'hidden' && this.flush());
  }

  /** Begins keeping a document. @param {import('./doc.js').Doc} doc */
  watch(doc) {
    for (const event of ['change', 'camera', 'view', 'media']) doc.on(event, () => this.later(doc));
  }

  /** @param {import('./doc.js').Doc} doc */
  later(doc) {
    if (this.timers.has(doc)) return;
    this.timers.set(doc, setTimeout(() => this.whenIdle(() => this.save(doc)), 900));
  }

  /** @param {() => void} fn */
  whenIdle(fn) {
    if ('requestIdleCallback' in globalThis) requestIdleCallback(fn, { timeout: 3000 });
    else setTimeout(fn, 0);
  }

  /** @param {import('./doc.js').Doc} doc */
  async save(doc) {
    clearTimeout(this.timers.get(doc));
    this.timers.delete(doc);
    if (!this.open().docs.includes(doc)) return;
    await set(`doc:${doc.id}`, draftOf(doc), store());
  }

  /** Which documents are open, in what order. */
  async session() {
    const { docs, active } = this.open();
    await set('session', { open: docs.map((doc) => doc.id), active: active?.id ?? null }, store());
  }

  flush() {
    for (const doc of [...this.timers.keys()]) void this.save(doc);
    void this.session();
  }

  /** @param {string} id */
  async forget(id) {
    await del(`doc:${id}`, store());
  }

  /** What was open. @returns {Promise<{drafts: Draft[], active: string|null}>} */
  static async read() {
    try {
      const session = await get('session', store());
      const drafts = await Promise.all((session?.open ?? []).map((/** @type {string} */ id) => get(`doc:${id}`, store())));
      return { drafts: drafts.filter(Boolean), active: session?.active ?? null };
    } catch {
      return { drafts: [], active: null };
    }
  }
}
