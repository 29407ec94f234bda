/** What can be undone: patches, newest last, bounded by number and by bytes. */

/** @typedef {import('./record.js').Patch} Patch */

export const MAX_STEPS = 1000;
export const MAX_BYTES = 64 * 2 ** 20;

export class History {
  constructor(maxSteps = MAX_STEPS, maxBytes = MAX_BYTES) {
    this.maxSteps = maxSteps;
    this.maxBytes = maxBytes;
    /** @type {{patch: Patch, nbytes: number}[]} */ this.past = [];
    /** @type {{patch: Patch, nbytes: number}[]} */ this.future = [];
    this.nbytes = 0;
  }

  /** @param {Patch} patch */
  push(patch) {
    if (!patch.do.length) return;
    for (const entry of this.future) this.nbytes -= entry.nbytes;
    this.future = [];
    const entry = { patch, nbytes: sizeOf(patch.do) + sizeOf(patch.undo) };
    this.past.push(entry);
    this.nbytes += entry.nbytes;
    while (this.past.length > 1 && (this.past.length > this.maxSteps || this.nbytes > this.maxBytes)) {
      this.nbytes -= /** @type {{nbytes: number}} */ (this.past.shift()).nbytes;
    }
  }

  /** @returns {Patch|undefined} the patch to take back */
  undo() {
    const entry = this.past.pop();
    if (entry) this.future.push(entry);
    return entry?.patch;
  }

  /** @returns {Patch|undefined} the patch to apply again */
  redo() {
    const entry = this.future.pop();
    if (entry) this.past.push(entry);
    return entry?.patch;
  }
}

/** About how many bytes a value takes, without writing it out. @param {any} value @returns {number} */
export function sizeOf(value) {
  if (typeof value === 'string') return 2 * value.length + 2;
  if (value === null || typeof value !== 'object') return 8;
  let total = 16;
  if (Array.isArray(value)) for (const item of value) total += sizeOf(item);
  else for (const key in value) total += 2 * key.length + sizeOf(value[key]);
  return total;
}
