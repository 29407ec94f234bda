/** Plain synchronous events: the canvas listens to these, panels to signals. */

export class Emitter {
  constructor() {
    /** @type {Map<string, Set<(data: any) => void>>} */ this.listeners = new Map();
  }

  /** @param {string} event @param {(data: any) => void} fn @returns {() => void} call it to stop listening */
  on(event, fn) {
    const set = this.listeners.get(event) ?? new Set();
    this.listeners.set(event, set.add(fn));
    return () => set.delete(fn);
  }

  /** @param {string} event @param {any} [data] */
  emit(event, data) {
    for (const fn of this.listeners.get(event) ?? []) fn(data);
  }
}
