/**
 * Fuzzy search over names: first tolerant of typos within a word, then any letters in order; words in any order.
 * `i:` and `o:` filter by what a node takes and gives, `c:` by category.
 */

import uFuzzy from '../vendor/fuzzy.js';

/** @template T @typedef {{item: T, text: string, marks: number[]}} Hit marks: start and end of each matched stretch */

const TYPOS = new uFuzzy({ intraMode: 1, intraIns: 1, intraSub: 1, intraTrn: 1, intraDel: 1 });
const LETTERS = new uFuzzy({ intraMode: 0, intraIns: Infinity });

/**
 * @template T
 * @param {T[]} items @param {(item: T) => string} textOf @param {string} query
 * @param {{limit?: number, weight?: (item: T) => number}} [options] weight: higher comes first among equal matches
 * @returns {Hit<T>[]}
 */
export function find(items, textOf, query, { limit = 60, weight } = {}) {
  const words = query.trim();
  if (!words) {
    const all = items.map((item) => ({ item, text: textOf(item), marks: [] }));
    if (weight) all.sort((a, b) => weight(b.item) - weight(a.item));
    return all.slice(0, limit);
  }
  const texts = items.map(textOf);
  /** @type {Map<number, Hit<T>>} */ const hits = new Map();
  /** @param {number} i @param {number[]} marks */
  const hit = (i, marks) => {
    if (!hits.has(i)) hits.set(i, { item: items[i], text: texts[i], marks });
  };
  for (const fuzzy of [TYPOS, LETTERS]) {
    const [found, info, order] = fuzzy.search(texts, words, 1, 1e4);
    if (info && order) for (const at of order) hit(info.idx[at], info.ranges[at]);
    else for (const i of found ?? []) hit(i, stretches(texts[i], words));
    if (hits.size >= limit) break;
  }
  if (hits.size < 8) texts.forEach((text, i) => inOrder(text, words) && hit(i, []));
  const list = [...hits.values()];
  const lower = words.toLowerCase();
  const rank = list.map((hit, i) => ({ hit, score: i - closeness(hit.text.toLowerCase(), lower) - (weight?.(hit.item) ?? 0) }));
  return rank.sort((a, b) => a.score - b.score).slice(0, limit).map(({ hit }) => hit);
}

/** Where the words of a query stand in a text. @param {string} text @param {string} query */
function stretches(text, query) {
  const lower = text.toLowerCase();
  const found = query.toLowerCase().split(/\s+/).map((word) => [lower.indexOf(word), word.length]).filter(([at]) => at >= 0);
  return found.sort((a, b) => a[0] - b[0]).flatMap(([at, length]) => [at, at + length]);
}

/** Whether all letters of a query appear in order, the first at the start of a word. @param {string} text @param {string} query */
function inOrder(text, query) {
  const letters = query.toLowerCase().replace(/\s+/g, '');
  const lower = text.toLowerCase();
  for (let start = lower.indexOf(letters[0]); start >= 0; start = lower.indexOf(letters[0], start + 1)) {
    if (start > 0 && /\w/.test(lower[start - 1])) continue;
    let at = start;
    let n = 1;
    while (n < letters.length && (at = lower.indexOf(letters[n], at + 1)) >= 0) n++;
    if (n === letters.length) return true;
  }
  return false;
}

/** A bonus for names that begin with, or are, what was typed; what follows \u0001 begins with another name. @param {string} text @param {string} query */
function closeness(text, query) {
  const [name, rest = ''] = text.split('\u0001');
  return Math.max(...[name.trim(), rest.trim().split(' ')[0]].map((one) => {
    if (one === query) return 1000;
    if (one.startsWith(query)) return 100 - one.length / 2;
    return one.includes(query) ? 30 : 0;
  }));
}

/** Splits filters off a query. @param {string} query */
export function readFilters(query) {
  /** @type {{text: string, takes: string[], gives: string[], category: string[]}} */ const out = { text: '', takes: [], gives: [], category: [] };
  const places = { i: out.takes, o: out.gives, c: out.category };
  out.text = query.replace(/\b([ioc]):(\S*)/g, (_, /** @type {'i'|'o'|'c'} */ key, value) => {
    if (value) places[key].push(value.toLowerCase());
    return '';
  }).trim();
  return out;
}

/** Whether a definition passes the filters. @param {import('./defs.js').NodeDef} def @param {ReturnType<typeof readFilters>} filters */
export function passes(def, { takes, gives, category }) {
  /** @param {string} type @param {string} wanted */
  const like = (type, wanted) => type.toLowerCase().includes(wanted);
  return (
    takes.every((wanted) => def.inputs.some((input) => like(input.type, wanted))) &&
    gives.every((wanted) => def.outputs.some((output) => like(output.type, wanted))) &&
    category.every((wanted) => def.category.toLowerCase().includes(wanted))
  );
}
