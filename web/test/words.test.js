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

test('the panels are all in Russian', () => {
  const panels = source.slice(0, source.indexOf('// The canvas')).matchAll(/'([a-z]+\.[\w.-]+)':/g);
  const missing = [...panels].map(([, key]) => key).filter((key) => key in EN && !(key in RU));
  assert.deepEqual(missing, []);
});
