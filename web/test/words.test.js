import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import test from 'node:test';
import { RU } from '../store/words.ru.js';

const source = readFileSync(new URL('../store/words.js', import.meta.url), 'utf8');
const EN = new Function(`return ${/export const EN = (\{[\s\S]*?\n\});/.exec(source)?.[1]}`)();

test('every key the code asks for has a text', () => {
  const missing = new Set();
  for (const folder of ['ui', 'store', 'canvas', 'tools', 'widget']) {
    for (const name of readdirSync(new URL(`../${folder}/`, import.meta.url)).filter((file) => file.endsWith('.js') && !file.startsWith('words'))) {
      const text = readFileSync(new URL(`../${folder}/${name}`, import.meta.url), 'utf8');
      for (const [, key] of text.matchAll(/\bt\('([\w.-]+)'/g)) if (!(key in EN)) missing.add(`${name}: ${key}`);
      for (const [, key] of text.matchAll(/title: '([a-z]+\.[\w.-]+)'/g)) if (!(key in EN)) missing.add(`${name}: ${key}`);
    }
  }
  assert.deepEqual([...missing], []);
});

test('the Russian words know no key the English do not, and keep their places for values', () => {
  for (const [key, text] of Object.entries(RU)) {
    assert.ok(key in EN, key);
    const places = (/** @type {string} */ one) => [...one.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
    assert.deepEqual(places(text), places(EN[key]), key);
  }
});

test('every text is in Russian', () => {
  assert.deepEqual(Object.keys(EN).filter((key) => !(key in RU)), []);
});

test('no text stands in the code itself', () => {
  const said = [];
  for (const folder of ['ui', 'canvas', 'widget', 'tools', 'store']) {
    for (const name of readdirSync(new URL(`../${folder}/`, import.meta.url)).filter((file) => file.endsWith('.js') && !file.startsWith('words'))) {
      const text = readFileSync(new URL(`../${folder}/${name}`, import.meta.url), 'utf8').replace(/\/\*\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
      // Words between tags, and attributes that are read out or shown, of the templates; names of our own and of formats may stand.
      for (const [, word] of text.matchAll(/<\/?[\w-]+(?:\s[^<>]*[^=<>])?>\s*([A-Z]?[a-z]{3,}[^<>{}$`]*)</g)) said.push(`${name}: ${word.trim()}`);
      for (const [, , word] of text.matchAll(/\b(aria-label|title|placeholder|alt)="([^"$]*[a-z]{3,}[^"$]*)"/g)) said.push(`${name}: ${word}`);
      for (const [, word] of text.matchAll(/\b(?:toast|announce|confirm|ask)\('([^']+)'/g)) said.push(`${name}: ${word}`);
    }
  }
  assert.deepEqual(said.filter((one) => !/: (Latent Loom|RAM|preact, htm|image|latent|loaders)/.test(one)), []);
});
