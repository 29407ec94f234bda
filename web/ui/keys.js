/** Commands and the keys that run them: one listener for the page; every key can be changed by the user. */

import { signal } from '../vendor/preact.js';

/**
 * @typedef {object} Command
 * @property {string} id
 * @property {string} title key of words.js, or the text itself
 * @property {string[]} [keys] as in "Ctrl+Shift+E"; Ctrl means Cmd on a Mac
 * @property {'canvas'|'app'} [where] canvas: only while no field, menu or dialog has the focus
 * @property {string} [icon]
 * @property {string} [group]
 * @property {boolean} [native] its key is left to the browser's own event (copy, paste)
 * @property {boolean} [hidden] not in the list
 * @property {(app: any, event?: Event) => any} run
 * @property {(app: any) => boolean} [when]
 */

/** Keys the browser keeps for itself. */
export const RESERVED = new Set(['Ctrl+T', 'Ctrl+W', 'Ctrl+N', 'Ctrl+Shift+T', 'Ctrl+Shift+N', 'Ctrl+Tab', 'Ctrl+L', 'F5', 'Ctrl+R', 'Alt+F4', 'Ctrl+Q']);

export const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

/** A key event as text. @param {KeyboardEvent} event @returns {string} */
export function keyOf(event) {
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push('Ctrl');
  if (event.altKey) parts.push('Alt');
  let key = event.key;
  const digit = /^Digit(\d)$/.exec(event.code);
  const letter = /^Key([A-Z])$/.exec(event.code);
  if (digit) key = digit[1];
  else if (letter && !/^[a-z]$/i.test(key)) key = letter[1];
  else if (key === ' ') key = 'Space';
  if (key.length === 1) key = key.toUpperCase();
  const symbol = key.length === 1 && !/[A-Z0-9]/.test(key);
  if (event.shiftKey && !symbol) parts.push('Shift');
  parts.push(key.replace('Arrow', ''));
  return parts.join('+');
}

/** As people read it. @param {string} key */
export function showKey(key) {
  const names = isMac ? { Ctrl: '⌘', Alt: '⌥', Shift: '⇧', Delete: '⌫' } : { Delete: 'Del' };
  const arrows = { Left: '←', Right: '→', Up: '↑', Down: '↓', Enter: '↵', Escape: 'Esc' };
  const words = key.split(/\+(?=.)/).map((part) => /** @type {any} */ ({ ...names, ...arrows })[part] ?? part);
  return words.join(isMac ? '' : '+');
}

/** Whether typing goes to a field. @param {EventTarget|null} target */
export function inField(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** Whether a key with Alt is a letter being written: AltGr anywhere, Option in a field on a Mac. @param {KeyboardEvent} event */
function writes(event) {
  if (!inField(event.target) || event.key.length > 1) return false;
  return event.getModifierState('AltGraph') || (isMac && event.altKey && !event.metaKey && !event.ctrlKey);
}

/** What is being typed counts before a command runs; the field keeps the focus. @param {any} app @param {HTMLElement} field @param {() => void} run */
function commit(app, field, run) {
  field.blur();
  run();
  if (document.activeElement !== document.body) return;
  if (field.isConnected) field.focus();
  else app.canvas?.focus();
}

export class Commands {
  /** @param {any} app */
  constructor(app) {
    this.app = app;
    /** @type {Map<string, Command>} */ this.all = new Map();
    this.version = signal(0);
    // A field sees its keys first, but for those that are the app's wherever one types.
    document.addEventListener('keydown', (event) => inField(event.target) && (event.ctrlKey || event.metaKey || event.altKey) && this.keydown(event), true);
    document.addEventListener('keydown', (event) => this.keydown(event));
  }

  /** @param {Command} command */
  add(command) {
    this.all.set(command.id, command);
    this.index = null;
    this.version.value += 1;
  }

  /** @param {string} id @returns {string[]} its keys, the user's if changed */
  keysOf(id) {
    return this.app.prefs.get('keys')[id] ?? this.all.get(id)?.keys ?? [];
  }

  /** The key to show beside a command. @param {string} id */
  hint(id) {
    const [key] = this.keysOf(id);
    return key ? showKey(key) : '';
  }

  /** @param {string} id @param {string[]|null} keys null takes the default back */
  rebind(id, keys) {
    const { [id]: _, ...others } = this.app.prefs.get('keys');
    this.app.prefs.set('keys', keys ? { ...others, [id]: keys } : others);
    this.index = null;
    this.version.value += 1;
  }

  /** @returns {Map<string, Command[]>} */
  byKey() {
    if (this.index && this.indexed === this.app.prefs.get('keys')) return this.index;
    /** @type {Map<string, Command[]>} */ const index = new Map();
    for (const command of this.all.values()) for (const key of this.keysOf(command.id)) index.set(key, [...(index.get(key) ?? []), command]);
    this.index = index;
    this.indexed = this.app.prefs.get('keys');
    return index;
  }

  /** @param {string} id @param {Event} [event] */
  run(id, event) {
    const command = this.all.get(id);
    if (command && (command.when?.(this.app) ?? true)) return command.run(this.app, event);
  }

  /** @param {KeyboardEvent} event */
  keydown(event) {
    if (event.defaultPrevented || event.isComposing || writes(event)) return;
    const field = inField(event.target);
    const over = document.querySelector('dialog[open], .menu, .palette') !== null;
    const target = /** @type {Element} */ (event.target);
    const onCanvas = !over && !field && (target === document.body || target.matches?.('.panel') || Boolean(target.closest?.('#canvas')));
    const inPanel = !over && !field && Boolean(target.closest?.('.panel, .rail'));
    for (const command of this.byKey().get(keyOf(event)) ?? []) {
      const modified = event.ctrlKey || event.metaKey || event.altKey || event.key.startsWith('F');
      if (command.native) continue;
      // Only the canvas itself keeps Tab; from a panel it leads on, as everywhere.
      if (event.key === 'Tab' && !target.closest?.('#canvas')) continue;
      if (command.where === 'app' ? over || (field && !modified) || (!onCanvas && !modified) : !(onCanvas || (inPanel && command.id.startsWith('panel.')))) continue;
      if (command.when && !command.when(this.app)) continue;
      event.preventDefault();
      event.stopPropagation();
      if (field) commit(this.app, /** @type {HTMLElement} */ (event.target), () => command.run(this.app, event));
      else command.run(this.app, event);
      return;
    }
  }
}
