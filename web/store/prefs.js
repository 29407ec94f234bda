/** Settings: kept in the browser at once, on the server for the next browser. */

import { signal } from '../vendor/preact.js';

export const DEFAULTS = {
  theme: 'system',
  language: '',
  'canvas.snap': false,
  'canvas.grid': 10,
  'canvas.links': 'curve',
  'canvas.minimap': true,
  'canvas.stats': true,
  'canvas.advice': true,
  'canvas.zoomSpeed': 1,
  'canvas.select': false,
  'run.count': 1,
  'run.auto': 'off',
  'run.previews': true,
  'panel.width': 320,
  'panel.open': '',
  'palette.used': /** @type {Record<string, number>} */ ({}),
  'palette.recent': /** @type {string[]} */ ([]),
  'palette.starred': /** @type {string[]} */ ([]),
  keys: /** @type {Record<string, string[]>} */ ({}),
  motion: 'system',
  'text.size': 100,
};

/** @typedef {keyof typeof DEFAULTS} PrefId */

/** What is about this screen and not about its user: another browser is not told. */
const HERE = new Set(['panel.open', 'panel.width', 'run.auto', 'canvas.minimap', 'text.size']);

const LOCAL = 'latent-loom.prefs';

export class Prefs {
  /** @param {{post: (id: string, value: any) => Promise<any>}} [remote] */
  constructor(remote) {
    this.remote = remote;
    /** @type {Map<string, import('../vendor/preact.js').Signal<any>>} */ this.signals = new Map();
    /** @type {Record<string, any>} */ this.values = { ...DEFAULTS, ...readLocal() };
  }

  /** @template {PrefId} K @param {K} id @returns {(typeof DEFAULTS)[K]} */
  get(id) {
    return this.values[id];
  }

  /** @param {PrefId} id @returns {import('../vendor/preact.js').Signal<any>} */
  signal(id) {
    let one = this.signals.get(id);
    if (!one) this.signals.set(id, (one = signal(this.values[id])));
    return one;
  }

  /** @param {PrefId} id @param {any} value */
  set(id, value) {
    if (this.values[id] === value) return;
    this.values[id] = value;
    this.signal(id).value = value;
    this.write();
    if (!HERE.has(id)) this.remote?.post(`LatentLoom.${id}`, value).catch(() => {});
  }

  /** Takes over what the server remembers. @param {Record<string, any>} stored */
  merge(stored) {
    for (const id of /** @type {PrefId[]} */ (Object.keys(DEFAULTS))) {
      const value = stored[`LatentLoom.${id}`];
      if (HERE.has(id) || value === undefined || JSON.stringify(value) === JSON.stringify(this.values[id])) continue;
      this.values[id] = value;
      this.signal(id).value = value;
    }
    this.write();
  }

  write() {
    try {
      localStorage.setItem(LOCAL, JSON.stringify(this.values));
    } catch {
      // A full or forbidden store loses a preference, nothing else.
    }
  }
}

/** @returns {Record<string, any>} */
function readLocal() {
  try {
    return JSON.parse(localStorage.getItem(LOCAL) ?? '{}');
  } catch {
    return {};
  }
}
