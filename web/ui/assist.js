/**
 * Help while writing prompts, in whatever text box they are written: Ctrl+Up and Ctrl+Down weigh the selection, names of
 * embeddings and LoRAs complete themselves, and a count says about how many tokens there are.
 */

import { find } from '../graph/find.js';

const NAME = /(?:^|[\s,(])((embedding:|<lora:)([^\s,<>():]*))$/;

/** Weighs a stretch of a prompt: "cat" becomes "(cat:1.1)", "(cat:1.1)" becomes "(cat:1.2)", and back. @param {string} text @param {number} start @param {number} end @param {number} by */
export function weigh(text, start, end, by) {
  let [a, b] = [start, end];
  if (a === b) {
    while (a > 0 && /[^\s,()]/.test(text[a - 1])) a--;
    while (b < text.length && /[^\s,():]/.test(text[b])) b++;
  }
  while (a < b && /\s/.test(text[a])) a++;
  while (b > a && /\s/.test(text[b - 1])) b--;
  if (a === b) return null;
  const around = /^\(([\s\S]*):(-?[\d.]+)\)$/;
  let inner = text.slice(a, b);
  let weight = 1;
  const own = around.exec(inner);
  const tail = /^:(-?[\d.]+)\)/.exec(text.slice(b));
  if (own) [inner, weight] = [own[1], Number(own[2])];
  else if (text[a - 1] === '(' && tail) {
    weight = Number(tail[1]);
    a -= 1;
    b += tail[0].length;
  }
  const next = Math.round((weight + by) * 100) / 100;
  const written = next === 1 ? inner : `(${inner}:${next})`;
  const from = a + (next === 1 ? 0 : 1);
  return { text: text.slice(0, a) + written + text.slice(b), start: from, end: from + inner.length };
}

/** About how many tokens a text is, until the server has told; the encoders split most words into one and long ones into more. @param {string} text */
export function countTokens(text) {
  const words = text.replace(/:-?[\d.]+\)/g, ')').match(/\p{L}+|\d|[^\s\p{L}\d]/gu) ?? [];
  return words.reduce((sum, word) => sum + (/\p{L}/u.test(word) ? Math.max(1, Math.ceil((word.length - 3) / 7)) * (/^[\x00-\x7f]+$/.test(word) ? 1 : 2) : /[()]/.test(word) ? 0 : 1), 0);
}

/** @param {EventTarget|null} target @returns {target is HTMLTextAreaElement} */
function isPrompt(target) {
  return target instanceof HTMLTextAreaElement && !target.closest('dialog') && !target.dataset.plain;
}

/** @param {HTMLTextAreaElement} area @param {string} text @param {number} start @param {number} end */
function write(area, text, start, end) {
  area.value = text;
  area.setSelectionRange(start, end);
  area.dispatchEvent(new Event('input', { bubbles: true }));
}

/** The list of names, and the count, beside the box one writes in. */
class Helper {
  /** @param {any} app */
  constructor(app) {
    this.app = app;
    /** @type {string[]} */ this.embeddings = [];
    /** @type {HTMLTextAreaElement|null} */ this.area = null;
    this.list = document.createElement('div');
    this.list.className = 'assist menu';
    this.list.setAttribute('role', 'listbox');
    this.count = document.createElement('div');
    this.count.className = 'assist-count';
    this.count.setAttribute('aria-hidden', 'true');
    /** @type {string[]} */ this.names = [];
    this.at = 0;
    this.quiet = false;
    this.timer = 0;
  }

  /** @param {HTMLTextAreaElement} area */
  enter(area) {
    this.area = area;
    document.body.append(this.count);
    this.refresh();
    this.app.api.json('/embeddings').then((/** @type {string[]} */ names) => (this.embeddings = names ?? []), () => {});
  }

  leave() {
    this.area = null;
    this.count.remove();
    this.close();
  }

  refresh() {
    if (!this.area?.isConnected) return this.leave();
    const box = this.area.getBoundingClientRect();
    const n = countTokens(this.area.value);
    this.show(`≈ ${n}`, this.app.t('assist.tokens', { n }));
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.ask(), 250);
    this.count.style.left = `${box.right - 78}px`;
    this.count.style.top = `${box.bottom - 22}px`;
    this.offer();
  }

  /** @param {string} text @param {string} title */
  show(text, title) {
    this.count.textContent = text;
    this.count.title = title;
  }

  /** Asks the server, whose encoders know. */
  async ask() {
    const area = this.area;
    const text = area?.value ?? '';
    const told = await this.app.api.send('/tokens', { text }).catch(() => null);
    if (!told || this.area !== area || area?.value !== text) return;
    this.show(`${told.tokens} / ${told.rows * 75}`, this.app.t('assist.exact', { n: told.tokens, rows: told.rows }));
    this.count.classList.toggle('many', told.rows > 1);
  }

  offer() {
    const area = this.area;
    const match = area && area.selectionStart === area.selectionEnd ? NAME.exec(area.value.slice(0, area.selectionStart)) : null;
    if (!area || !match || this.quiet) return this.close();
    const loras = this.app.defs.get('LoraLoader')?.widgets.find((/** @type {any} */ widget) => widget.name === 'lora_name')?.options.values ?? [];
    const pool = match[2] === 'embedding:' ? this.embeddings : loras.map((/** @type {string} */ name) => name.replace(/\.[^.]+$/, ''));
    this.names = find(pool, (name) => name, match[3], { limit: 12 }).map((hit) => hit.item);
    if (!this.names.length) return this.close();
    this.at = Math.min(this.at, this.names.length - 1);
    this.list.replaceChildren(...this.names.map((name, i) => this.option(name, i)));
    const box = area.getBoundingClientRect();
    this.list.style.left = `${box.left}px`;
    this.list.style.top = `${box.bottom + 4}px`;
    if (!this.list.isConnected) document.body.append(this.list);
  }

  /** @param {string} name @param {number} i */
  option(name, i) {
    const option = document.createElement('button');
    option.type = 'button';
    option.role = 'option';
    option.ariaSelected = String(i === this.at);
    option.textContent = name;
    option.onpointerdown = (event) => {
      event.preventDefault();
      this.take(i);
    };
    return option;
  }

  /** @param {number} i */
  take(i) {
    const area = this.area;
    const end = area?.selectionStart ?? 0;
    const match = area && NAME.exec(area.value.slice(0, end));
    if (!area || !match) return;
    const start = end - match[1].length;
    const name = match[2] + this.names[i] + (match[2] === '<lora:' ? ':1>' : '');
    this.close();
    this.quiet = true; // what was just taken is not offered again
    write(area, area.value.slice(0, start) + name + area.value.slice(end), start + name.length, start + name.length);
    this.quiet = false;
  }

  close() {
    this.list.remove();
    this.names = [];
    this.at = 0;
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether the key was for the list */
  key(event) {
    if (!this.names.length) return false;
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by) this.at = (this.at + by + this.names.length) % this.names.length;
    else if (event.key === 'Enter' || event.key === 'Tab') this.take(this.at);
    else if (event.key === 'Escape') this.close();
    else return false;
    if (by) this.offer();
    return true;
  }
}

/** @param {any} app */
export function listenToPrompts(app) {
  const helper = new Helper(app);
  if (isPrompt(document.activeElement)) helper.enter(document.activeElement);
  document.addEventListener('focusin', ({ target }) => (isPrompt(target) ? helper.enter(target) : helper.leave()));
  document.addEventListener('focusout', ({ target }) => target === helper.area && helper.leave());
  document.addEventListener('input', ({ target }) => target === helper.area && helper.refresh());
  document.addEventListener('keydown', (event) => {
    const { target } = event;
    if (!isPrompt(target) || event.isComposing) return;
    const by = { ArrowUp: 0.1, ArrowDown: -0.1 }[event.key];
    if (helper.key(event)) {
      event.preventDefault();
      event.stopPropagation();
    } else if (by && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      event.stopPropagation();
      const made = weigh(target.value, target.selectionStart, target.selectionEnd, event.shiftKey ? by / 2 : by);
      if (made) write(target, made.text, made.start, made.end);
    }
  }, true);
}
