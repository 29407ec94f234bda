import assert from 'node:assert/strict';
import test from 'node:test';
import { countTokens, weigh } from '../ui/assist.js';
import { differences } from '../ui/diff.js';
import { readValues } from '../ui/sweep.js';
import { workflowFromJson, workflowToJson } from '../graph/json.js';
import { Edit } from '../graph/record.js';
import { addNode, removeItems, setValue } from '../graph/edit.js';
import { defs, txt2img } from './fixture.js';

test('Ctrl+Up weighs a word or a selection, and takes the weight off again', () => {
  const up = weigh('a red cat', 3, 3, 0.1);
  assert.deepEqual(up, { text: 'a (red:1.1) cat', start: 3, end: 6 });
  const more = weigh(up?.text ?? '', up?.start ?? 0, up?.end ?? 0, 0.1);
  assert.equal(more?.text, 'a (red:1.2) cat');
  assert.equal(weigh(up?.text ?? '', up?.start ?? 0, up?.end ?? 0, -0.1)?.text, 'a red cat');
  assert.equal(weigh('(two words:0.9) x', 0, 15, 0.1)?.text, 'two words x');
  assert.equal(weigh(' , ', 1, 1, 0.1), null);
});

test('tokens are counted without weights and brackets', () => {
  assert.equal(countTokens(''), 0);
  assert.equal(countTokens('a cat on a mat'), 5);
  assert.equal(countTokens('a (cat:1.3), 42'), 5);
});

test('values of a sweep: lines, lists, ranges', () => {
  const number = /** @type {any} */ ({ kind: 'number', options: { precision: 0 } });
  assert.deepEqual(readValues('1..7 step 2', number), [1, 3, 5, 7]);
  assert.deepEqual(readValues('3..1', number), [3, 2, 1]);
  assert.deepEqual(readValues('1, 2.4; x\n5', number), [1, 2, 5]);
  assert.deepEqual(readValues('0..1 step 0.25', /** @type {any} */ ({ kind: 'number', options: {} })), [0, 0.25, 0.5, 0.75, 1]);
  assert.deepEqual(readValues('a cat\n\n a dog ', /** @type {any} */ ({ kind: 'text', options: {} })), ['a cat', 'a dog']);
});

test('differences name what was added, removed and changed', () => {
  const { flow, sampler, save } = txt2img();
  const before = workflowFromJson(JSON.parse(JSON.stringify(workflowToJson(flow))), defs());
  const e = new Edit(flow, flow.root);
  setValue(e, sampler.id, 'steps', 30);
  removeItems(e, { nodes: [save.id] });
  addNode(e, 'LoadImage', [0, 0]);
  const found = differences(before, flow);
  assert.deepEqual(found.map((one) => [one.kind, one.label]).sort(), [['added', 'LoadImage'], ['changed', 'KSampler'], ['removed', 'SaveImage']]);
  assert.deepEqual(found.find((one) => one.kind === 'changed')?.lines, [{ name: 'steps', before: '20', after: '30' }]);
  assert.deepEqual(differences(before, before), []);
});
