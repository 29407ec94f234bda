/** Drafts in IndexedDB: every open document, a moment after each change, so that closing the browser loses nothing. */

import { createStore, del, get } from '../vendor/idb.js';

const store = () => (made ??= createStore('latent-loom', 'drafts'));
/** @type {any} */ let made;

/**
 * Writes at once: without the commit a page that is closing would take the write along. @param {string} key @param {any} value
 * @returns {Promise<void>}
 */
function put(key, value) {
  return store()('readwrite', (/** @type {IDBObjectStore} */ items) => {
    const { transaction } = items;
    items.put(value, key);
    transaction.commit?.();
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(undefined);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  });
}

/** @typedef {{data: any, name: string, file: string|null, dirty: boolean, trail: any[], outputs: [string, any][], time: number}} Draft */

/** @param {import('./doc.js').Doc} doc @returns {Draft} */
function draftOf(doc) {
  return { data: doc.toJson(), name: doc.name.peek(), file: doc.file.peek(), dirty: doc.dirty.peek(), trail: doc.trail.peek(), outputs: [...doc.run.outputs], time: Date.now() };
}

/** Whether this is the first window of the editor; it keeps being so until it closes. @returns {Promise<boolean>} */
function claim() {
  return new Promise((resolve) => {
    if (!navigator.locks) return resolve(true);
    const hold = (/** @type {Lock|null} */ lock) => {
      resolve(lock !== null);
      return lock === null ? undefined : new Promise(() => {});
    };
    navigator.locks.request('latent-loom.first', { ifAvailable: true }, hold).catch(() => resolve(true));
  });
}

export class Drafts {
  /** @param {() => {docs: import('./doc.js').Doc[], active: import('./doc.js').Doc|null}} open */
  constructor(open) {
    this.open = open;
    // A second window has a session of its own, or the two would write over each other's documents.
    this.key = 'session';
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
    await put(`doc:${doc.id}`, draftOf(doc)).catch((error) => console.warn('The draft could not be kept.', error));
  }

  /** Which documents are open, in what order. */
  async session() {
    const { docs, active } = this.open();
    await put(this.key, { open: docs.map((doc) => doc.id), active: active?.id ?? null }).catch(() => {});
  }

  flush() {
    for (const doc of [...this.timers.keys()]) void this.save(doc);
    void this.session();
  }

  /** @param {string} id */
  async forget(id) {
    await del(`doc:${id}`, store());
  }

  /** What was open. @param {string} window an id that outlives a reload @returns {Promise<{drafts: Draft[], active: string|null}>} */
  async read(window) {
    try {
      if (!(await claim())) this.key = `session:${window}`;
      const session = await get(this.key, store());
      const drafts = await Promise.all((session?.open ?? []).map((/** @type {string} */ id) => get(`doc:${id}`, store())));
      return { drafts: drafts.filter(Boolean), active: session?.active ?? null };
    } catch {
      return { drafts: [], active: null };
    }
  }
}
