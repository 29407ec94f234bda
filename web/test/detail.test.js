import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAR, MID, NEAR, NEAR_SCALE, cull, cullWires, level } from '../canvas/detail.js';
import { along, crosses, distance, through, toSegment } from '../canvas/curve.js';

test('no text below 0.4: the level of detail follows the scale', () => {
  assert.equal(level(1), NEAR);
  assert.equal(level(NEAR_SCALE), NEAR);
  assert.equal(level(0.39), MID);
  assert.equal(level(0.05), FAR);
});

test('culling keeps exactly the boxes that meet the view', () => {
  const count = 500, boxes = new Float32Array(4 * count);
  for (let i = 0; i < count; i++) boxes.set([(i % 25) * 100, Math.floor(i / 25) * 100, (i % 25) * 100 + 60, Math.floor(i / 25) * 100 + 60], i * 4);
  const view = { x: 150, y: 250, w: 300, h: 200 };
  /** @type {number[]} */ const out = [];
  const wanted = [];
  for (let i = 0; i < count; i++) {
    const [x0, y0, x1, y1] = boxes.subarray(i * 4, i * 4 + 4);
    if (x0 < 450 && x1 > 150 && y0 < 450 && y1 > 250) wanted.push(i);
  }
  assert.deepEqual(cull(boxes, count, view, out), wanted);
  assert.ok(wanted.length > 0 && wanted.length < 20);
});

test('a wire is never culled while part of it is in view', () => {
  const random = seeded(7);
  const view = { x: 0, y: 0, w: 400, h: 300 };
  for (let n = 0; n < 400; n++) {
    const ends = new Float32Array([random() * 1600 - 600, random() * 1200 - 450, random() * 1600 - 600, random() * 1200 - 450]);
    const seen = through(ends, 0, view);
    if (seen) assert.deepEqual(cullWires(ends, 1, view, []), [0], `${[...ends]}`);
  }
});

test('a wire starts and ends at its sockets and its distance there is nothing', () => {
  const ends = [10, 20, 300, 180];
  assert.deepEqual(along(10, 20, 300, 180, 0), { x: 10, y: 20 });
  assert.deepEqual(along(10, 20, 300, 180, 1), { x: 300, y: 180 });
  for (const t of [0, 0.3, 0.5, 1]) {
    const p = along(10, 20, 300, 180, t);
    assert.ok(distance(ends, 0, p.x, p.y) < 0.6);
  }
  assert.ok(distance(ends, 0, 155, 0) > 50);
  assert.equal(toSegment(0, 5, -10, 0, 10, 0), 5);
});

test('a cut crosses a wire or passes by', () => {
  const ends = [0, 0, 200, 0];
  assert.ok(crosses(ends, 0, { x: 100, y: -20 }, { x: 100, y: 20 }));
  assert.ok(!crosses(ends, 0, { x: 260, y: -20 }, { x: 260, y: 20 }));
  assert.ok(!crosses(ends, 0, { x: 100, y: 10 }, { x: 100, y: 40 }));
});

/** @param {number} seed */
function seeded(seed) {
  return () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
}
