import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Camera, MAX_SCALE, MIN_SCALE, inside, overlaps, rectOf, union } from '../canvas/camera.js';

function camera() {
  const c = new Camera();
  c.width = 1600;
  c.height = 900;
  return c;
}

test('screen and graph points are inverses at any camera', () => {
  const c = camera();
  for (const [x, y, scale] of [[0, 0, 1], [-130.4, 77.7, 0.37], [9000, -40, 3.1]]) {
    c.load({ x, y, scale });
    const p = c.toScreen(12, -34), q = c.toGraph(p.x, p.y);
    assert.ok(Math.hypot(q.x - 12, q.y + 34) < 1e-9);
  }
});

test('a zoom keeps the point under the pointer', () => {
  const c = camera();
  c.load({ x: 31, y: -17, scale: 0.8 });
  const before = c.toGraph(500, 300);
  for (const factor of [1.5, 0.25, 3]) c.zoom(factor, 500, 300);
  const after = c.toGraph(500, 300);
  assert.ok(Math.hypot(after.x - before.x, after.y - before.y) * c.scale < 1.01, 'to within the pixel it snaps to');
});

test('the scale stays within its limits', () => {
  const c = camera();
  c.zoom(1e6, 0, 0);
  assert.equal(c.scale, MAX_SCALE);
  c.zoom(1e-9, 0, 0);
  assert.equal(c.scale, MIN_SCALE);
});

test('offsets snap to device pixels', () => {
  const c = camera();
  c.dpr = 2;
  c.load({ x: 10.13, y: 3.39, scale: 0.77 });
  assert.equal((c.left * 2) % 1, 0);
  assert.equal((c.top * 2) % 1, 0);
});

test('fit shows a box whole and centred, and never closer than 100 %', () => {
  const c = camera();
  const box = { x: -5000, y: 200, w: 20000, h: 3000 };
  c.fit(box);
  const view = c.visible();
  assert.ok(view.x <= box.x && view.y <= box.y && view.x + view.w >= box.x + box.w && view.y + view.h >= box.y + box.h);
  assert.ok(Math.abs(view.x + view.w / 2 - 5000) < 1 / c.scale);
  c.fit({ x: 0, y: 0, w: 10, h: 10 });
  assert.equal(c.scale, 1);
});

test('rectangles', () => {
  assert.deepEqual(rectOf({ x: 5, y: 1 }, { x: 2, y: 7 }), { x: 2, y: 1, w: 3, h: 6 });
  assert.deepEqual(union([{ x: 0, y: 0, w: 1, h: 1 }, { x: 4, y: -2, w: 1, h: 1 }]), { x: 0, y: -2, w: 5, h: 3 });
  assert.equal(union([]), null);
  assert.ok(overlaps({ x: 0, y: 0, w: 2, h: 2 }, { x: 1, y: 1, w: 2, h: 2 }));
  assert.ok(!overlaps({ x: 0, y: 0, w: 2, h: 2 }, { x: 2, y: 0, w: 2, h: 2 }));
  assert.ok(inside({ x: 0, y: 0, w: 2, h: 2 }, 0, 1.9) && !inside({ x: 0, y: 0, w: 2, h: 2 }, 2, 0));
});
