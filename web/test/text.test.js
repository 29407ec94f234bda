import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Texts } from '../canvas/text.js';

/** Every character is 6 wide. */
const six = (/** @type {string} */ text) => text.length * 6;

test('a text is cut once for each width', () => {
  let asked = 0;
  const texts = new Texts((text) => (asked++, six(text)));
  assert.equal(texts.clip('checkpoint loader', 'f', 60), 'checkpoin…');
  const first = asked;
  for (let i = 0; i < 50; i++) texts.clip('checkpoint loader', 'f', 60);
  assert.equal(asked, first);
  assert.equal(texts.clip('checkpoint loader', 'f', 600), 'checkpoint loader');
  assert.equal(texts.clip('wide', 'f', 3), '');
});

test('what is cut fits', () => {
  const texts = new Texts(six);
  for (let width = 6; width < 120; width += 7) assert.ok(six(texts.clip('the quick brown fox jumps', 'f', width)) <= width);
});

test('lines break at spaces, long words anywhere, and never past the last line', () => {
  const texts = new Texts(six);
  assert.deepEqual(texts.wrap('one two three', 'f', 50, 9), ['one two', 'three']);
  assert.deepEqual(texts.wrap('abcdefghij', 'f', 24, 9), ['abcd', 'efgh', 'ij']);
  assert.deepEqual(texts.wrap('a\n\nb', 'f', 60, 9), ['a', '', 'b']);
  assert.equal(texts.wrap('x '.repeat(5000), 'f', 60, 4).length, 4);
});

test('the cache is bounded', () => {
  const texts = new Texts(six);
  for (let i = 0; i < 9000; i++) texts.clip(`text ${i}`, 'f', 100);
  assert.ok(texts.clipped.size <= 4000);
});
