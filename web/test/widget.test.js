import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluate, settle } from '../widget/expression.js';
import { filter } from '../widget/combo.js';
import { show } from '../widget/number.js';
import { words } from '../widget/text.js';
import { Shake } from '../tools/shake.js';
import { grid } from '../canvas/media.js';
import { hueOf } from '../canvas/tint.js';

test('sums', () => {
  for (const [text, value] of /** @type {[string, number][]} */ ([
    ['512*2', 1024], ['1+2*3', 7], ['(1+2)*3', 9], ['-4', -4], ['2^10', 1024], ['2**3', 8], ['15%4', 3], ['1e3', 1000], ['.5', 0.5], ['7/2', 3.5], [' 8 - 2 - 1 ', 5], ['0,5', 0.5], ['-2^2', -4], ['--3', 3],
  ])) assert.equal(evaluate(text), value, text);
  for (const text of ['', 'abc', '1+', '(2', '2)', '1/0', 'alert(1)', '1 2 x']) assert.equal(evaluate(text), null, text);
});

test('a number is held to its rule', () => {
  const whole = { min: 16, max: 4096, integer: true };
  assert.equal(settle(7, whole), 16);
  assert.equal(settle(99999, whole), 4096);
  assert.equal(settle(512.6, whole), 513);
  assert.equal(settle(0.30000000000000004, { integer: false }), 0.3);
  assert.equal(settle(0.237, { integer: false, round: 0.01 }), 0.24);
});

test('numbers are shown with as many digits as they need', () => {
  const cfg = /** @type {any} */ ({ type: 'FLOAT', options: { step: 0.1, round: 0.01 } });
  assert.equal(show(8, cfg), '8.0');
  assert.equal(show(7.25, cfg), '7.25');
  assert.equal(show(20, /** @type {any} */ ({ type: 'INT', options: {} })), '20');
  assert.equal(show(undefined, cfg), '');
});

test('a list is filtered by words in any order, starts first', () => {
  const items = ['dpmpp_2m_sde', 'euler', 'dpmpp_2m', 'euler_ancestral', 'sde_euler'];
  assert.deepEqual(filter(items, 'sde 2m'), ['dpmpp_2m_sde']);
  assert.deepEqual(filter(items, 'eul'), ['euler', 'euler_ancestral', 'sde_euler']);
  assert.deepEqual(filter(items, ''), items);
  assert.deepEqual(filter(items, 'zzz'), []);
});

test('four turns within half a second are a shake', () => {
  const quick = new Shake();
  const fired = [0, 30, -10, 30, -10, 30].map((x, i) => quick.move(x, i * 60));
  assert.equal(fired.filter(Boolean).length, 1);
  const slow = new Shake();
  assert.ok([0, 30, -10, 30, -10, 30, -10].every((x, i) => !slow.move(x, i * 400)));
  const straight = new Shake();
  assert.ok(Array.from({ length: 40 }, (_, i) => straight.move(i * 9, i * 10)).every((x) => !x));
});

test('pictures share a box in a grid without overlap', () => {
  const box = { x: 0, y: 0, w: 300, h: 200 };
  for (const n of [1, 2, 5, 16]) {
    const cells = grid(box, n);
    assert.equal(cells.length, n);
    for (const c of cells) assert.ok(c.x >= 0 && c.y >= 0 && c.x + c.w <= 300 && c.y + c.h <= 200 + 1e-9);
  }
  assert.ok(grid(box, 2, 1.6).every((cell) => cell.w > 290), 'wide ones lie one above the other');
  assert.ok(grid(box, 2, 0.6).every((cell) => cell.w < 150), 'tall ones side by side');
});

test('the hue of a colour', () => {
  assert.deepEqual(hueOf('#f00')[0], 0);
  assert.deepEqual(hueOf('#00ff00')[0], 120);
  assert.deepEqual(hueOf('#223')[0], 240);
  assert.equal(hueOf('nonsense')[1], 0.1);
});

test('a note shows the words of its markdown alone', () => {
  assert.equal(words('## Steps'), 'Steps');
  assert.equal(words('here (*detail*: less) and *base_steps*, **much** `a_b_c`'), 'here (detail: less) and base_steps, much a_b_c');
  assert.equal(words('2 * 3 * 4 and snake_case_name'), '2 * 3 * 4 and snake_case_name');
  assert.equal(words('- see [the page](https://example.org) _now_'), '• see the page now');
});
