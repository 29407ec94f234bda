import assert from 'node:assert/strict';
import test from 'node:test';
import { find, passes, readFilters } from '../graph/find.js';
import { layout } from '../graph/tidy.js';
import { defs } from './fixture.js';

const NAMES = ['KSampler', 'KSampler (Advanced)', 'Load Checkpoint', 'Load LoRA', 'CLIP Text Encode (Prompt)', 'Empty Latent Image', 'VAE Decode', 'VAE Encode', 'Upscale Latent', 'Save Image', 'Preview Image', 'Apply ControlNet', 'Load ControlNet Model', 'Latent Upscale By'];

for (const [query, wanted] of [['ks adv', 'KSampler (Advanced)'], ['upscale latent', 'Upscale Latent'], ['cn apply', 'Apply ControlNet'], ['ksampler', 'KSampler'], ['vae dec', 'VAE Decode'], ['chekpoint', 'Load Checkpoint'], ['text prompt', 'CLIP Text Encode (Prompt)'], ['svimg', 'Save Image']]) {
  test(`"${query}" finds ${wanted}`, () => {
    const hits = find(NAMES, (name) => name, query).map((hit) => hit.item);
    assert.ok(hits.slice(0, 3).includes(wanted), hits.join(', '));
  });
}

test('a type that begins with the query counts as much as a title that does', () => {
  const hits = find(['LoraLoaderModelOnly\u0001 ', 'Load LoRA\u0001 LoraLoader loaders'], (text) => text, 'lora').map((hit) => hit.item);
  assert.equal(hits[0], 'Load LoRA\u0001 LoraLoader loaders');
});

test('filters by what a node takes, gives and is', () => {
  const filters = readFilters('i:latent o:image dec');
  assert.equal(filters.text, 'dec');
  const types = [...defs().types.values()].filter((def) => passes(def, filters)).map((def) => def.type);
  assert.deepEqual(types, ['VAEDecode']);
});

test('layout goes from left to right and nothing overlaps', () => {
  const boxes = Array.from({ length: 30 }, (_, id) => ({ id, w: 200, h: 100 + (id % 3) * 40 }));
  const wires = boxes.slice(1).map((box) => ({ from: Math.floor((box.id - 1) / 2), to: box.id }));
  const places = new Map(layout(boxes, wires));
  for (const { from, to } of wires) assert.ok(/** @type {number[]} */ (places.get(from))[0] + 200 <= /** @type {number[]} */ (places.get(to))[0]);
  for (const a of boxes) for (const b of boxes) {
    if (a.id >= b.id) continue;
    const [p, q] = [places.get(a.id), places.get(b.id)];
    assert.ok(p && q && (p[0] + a.w <= q[0] || q[0] + b.w <= p[0] || p[1] + a.h <= q[1] || q[1] + b.h <= p[1]));
  }
});
