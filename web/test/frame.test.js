import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Frames } from '../canvas/frame.js';

function make() {
  /** @type {(() => void)[]} */ const asked = [];
  /** @type {string[]} */ const drawn = [];
  const frames = new Frames({ scene: (r) => drawn.push(`scene ${r}`), over: (r) => drawn.push(`over ${r}`), mini: () => drawn.push('mini') }, (f) => asked.push(f));
  return { frames, drawn, next: () => asked.shift()?.(), asked };
}

test('a burst of marks is one draw a layer', () => {
  const { frames, drawn, next, asked } = make();
  for (let i = 0; i < 100; i++) frames.mark('scene', 'pan');
  frames.mark('over', 'hover');
  frames.mark('scene', 'edit');
  assert.equal(asked.length, 1);
  next();
  assert.deepEqual(drawn, ['scene pan,edit', 'over hover']);
  assert.equal(asked.length, 0, 'nothing is asked for when nothing is dirty');
  assert.equal(frames.counts.scene, 1);
  assert.equal(frames.counts['scene:pan'], 1);
});

test('work for the next frame: the newest of a key, before the drawing', () => {
  const { frames, drawn, next } = make();
  frames.once('move', () => drawn.push('old'));
  frames.once('move', () => (drawn.push('new'), frames.mark('over', 'drag')));
  next();
  assert.deepEqual(drawn, ['new', 'over drag']);
});

test('what is marked while drawing waits for the next frame', () => {
  const { frames, drawn, next, asked } = make();
  frames.draw.over = () => frames.mark('scene', 'again');
  frames.mark('over', 'x');
  next();
  assert.deepEqual(drawn, []);
  assert.equal(asked.length, 1);
});
