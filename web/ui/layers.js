/** What lies over the page: menus, palettes, dialogs, toasts, and what is announced to screen readers. */

import { signal } from '../vendor/preact.js';
import { contextItems } from './context.js';
import { dropFiles } from './drop.js';

/**
 * @typedef {object} MenuItem
 * @property {string} label
 * @property {string} [icon]
 * @property {string} [key] shortcut shown at the right
 * @property {() => void} [run]
 * @property {boolean} [disabled]
 * @property {boolean} [checked]
 * @property {boolean} [danger]
 * @property {(MenuItem|'-')[]} [items] a menu beside it
 */
/** @typedef {{id: number, text: string, kind: 'info'|'error'|'ok', action?: {label: string, run: () => void}}} Toast */
/** @typedef {{name: string, props: any, done: (value: any) => void}} Dialog */

export class Layers {
  /** @param {any} app */
  constructor(app) {
    this.app = app;
    /** @type {import('../vendor/preact.js').Signal<{items: (MenuItem|'-')[], at: [number, number]}|null>} */ this.menuOpen = signal(null);
    /** @type {import('../vendor/preact.js').Signal<any>} */ this.paletteOpen = signal(null);
    /** @type {import('../vendor/preact.js').Signal<boolean>} */ this.commandsOpen = signal(false);
    /** @type {import('../vendor/preact.js').Signal<Dialog[]>} */ this.dialogs = signal([]);
    /** @type {import('../vendor/preact.js').Signal<Toast[]>} */ this.toasts = signal([]);
    this.said = signal('');
    this.panel = app.prefs.signal('panel.open');
    this.toastCount = 0;
  }

  /** @param {(MenuItem|'-')[]} items @param {[number, number]} at in px from the corner of the page */
  menu(items, at) {
    this.menuOpen.value = items.length ? { items, at } : null;
  }

  /** @param {any} target see context.js @param {[number, number]} at */
  contextMenu(target, at) {
    this.menu(contextItems(this.app, target), at);
  }

  /** Finds a node type to add. @param {{screen?: [number, number], at?: [number, number], filter?: {side: 'in'|'out', type: string}, replace?: any, onPick?: (type: string, how: {stay: boolean}) => void}} [request] */
  palette(request = {}) {
    this.paletteOpen.value = request;
  }

  /** @param {string} text @param {{kind?: Toast['kind'], action?: Toast['action'], ms?: number}} [more] */
  toast(text, { kind = 'info', action, ms = kind === 'error' ? 9000 : 4500 } = {}) {
    const id = ++this.toastCount;
    this.toasts.value = [...this.toasts.peek().filter((toast) => toast.text !== text).slice(-3), { id, text, kind, ...(action ? { action } : {}) }];
    setTimeout(() => this.untoast(id), ms);
    this.announce(text);
  }

  /** @param {number} id */
  untoast(id) {
    this.toasts.value = this.toasts.peek().filter((toast) => toast.id !== id);
  }

  /** @param {string} text */
  announce(text) {
    this.said.value = text;
  }

  /** Opens a dialog and waits for what it answers; undefined if it was closed. @param {string} name see dialogs.js @param {any} [props] @returns {Promise<any>} */
  dialog(name, props = {}) {
    return new Promise((resolve) => {
      /** @type {Dialog} */ const dialog = {
        name,
        props,
        done: (value) => {
          this.dialogs.value = this.dialogs.peek().filter((other) => other !== dialog);
          resolve(value);
        },
      };
      this.dialogs.value = [...this.dialogs.peek(), dialog];
    });
  }

  /** @param {string} text @param {string} [yes] @returns {Promise<boolean>} */
  async confirm(text, yes = this.app.t('ok'), { danger = false } = {}) {
    return Boolean(await this.dialog('confirm', { text, yes, danger }));
  }

  /** @param {string} text @param {string} [value] @returns {Promise<string|undefined>} */
  ask(text, value = '') {
    return this.dialog('ask', { text, value });
  }

  /** @param {{url: string, name?: string, info?: any, file?: any, job?: any, kind?: string}[]} pictures @param {number} [index] */
  lightbox(pictures, index = 0) {
    return this.dialog('lightbox', { pictures, index });
  }

  /** @param {string} before @param {string} after */
  compare(before, after) {
    return this.dialog('compare', { before, after });
  }

  /** Paints a mask on the picture of a node. @param {import('../graph/model.js').NodeId} id */
  mask(id) {
    return this.dialog('mask', { id });
  }

  /** @param {{kind: 'node'|'group', id: any}} target */
  async rename({ kind, id }) {
    const doc = this.app.active.peek();
    const { setTitle, setGroup } = await import('../graph/edit.js');
    const item = kind === 'node' ? doc.graph.node(id) : doc.graph.groups.get(id);
    if (!item) return;
    const title = await this.ask(this.app.t('rename.ask'), kind === 'node' ? item.label : item.title);
    if (title === undefined) return;
    doc.edit(this.app.t('edit.rename'), (/** @type {any} */ e) => (kind === 'node' ? setTitle(e, id, title.trim()) : setGroup(e, id, { title: title.trim() })));
  }

  /** @param {FileList|File[]} files @param {{node?: any, at?: [number, number]}} [where] */
  dropFiles(files, where = {}) {
    return dropFiles(this.app, [...files], where);
  }

  /** @param {string} name @param {boolean} [byKey] the focus goes along, so that Tab leads into the panel */
  togglePanel(name, byKey = false) {
    const open = this.panel.peek() !== name;
    this.app.prefs.set('panel.open', open ? name : '');
    if (open && byKey) requestAnimationFrame(() => /** @type {HTMLElement|null} */ (document.querySelector('.panel'))?.focus());
    else if (!open) this.app.canvas?.focus();
  }

  /** Gives the focus back to where it was before a palette, or to the canvas. @param {Element|null} before */
  refocus(before) {
    if (before instanceof HTMLElement && before.isConnected && before.closest('.panel, .form')) before.focus();
    else this.app.canvas?.focus();
  }

  /** @param {import('../store/run.js').RunError[]} errors */
  showErrors(errors) {
    const [first] = errors;
    if (!first) return;
    this.toast(errors.length === 1 ? first.message : this.app.t('errors.many', { n: errors.length }), { kind: 'error', action: { label: this.app.t('errors.show'), run: () => this.app.prefs.set('panel.open', 'errors') } });
  }
}
