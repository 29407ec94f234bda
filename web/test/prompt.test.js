import assert from 'node:assert/strict';
import test from 'node:test';
import { Edit } from '../graph/record.js';
import { addNode, connect, setMode, setValue } from '../graph/edit.js';
import { advance, choose, graphToPrompt, nextValue } from '../graph/prompt.js';
import { groupNodesToSubgraphs } from '../graph/groupnode.js';
import { workflowFromJson, workflowToJson } from '../graph/json.js';
import { defs, dice, txt2img } from './fixture.js';

test('txt2img: literals by name, links as [id, slot], the control is not sent', () => {
  const { flow, sampler, loader, good } = txt2img();
  const prompt = graphToPrompt(flow);
  const { inputs, class_type, _meta } = prompt[sampler.id];
  assert.equal(class_type, 'KSampler');
  assert.equal(_meta.title, 'KSampler');
  assert.deepEqual(inputs, { seed: 0, steps: 20, cfg: 8, sampler_name: 'euler', model: [String(loader.id), 0], positive: [String(good.id), 0], negative: ['3', 0], latent_image: ['4', 0] });
});

test('a bypassed node is looked through by type, a muted one leaves its inputs out', () => {
  const { flow, loader, sampler, good } = txt2img();
  const e = new Edit(flow, flow.root);
  const lora = addNode(e, 'LoraLoader', [0, 0]);
  connect(e, { node: loader.id, slot: 0 }, { node: lora.id, slot: 0 });
  connect(e, { node: loader.id, slot: 1 }, { node: lora.id, slot: 1 });
  connect(e, { node: lora.id, slot: 0 }, { node: sampler.id, slot: 0 });
  connect(e, { node: lora.id, slot: 1 }, { node: good.id, slot: 0 });
  assert.deepEqual(graphToPrompt(flow)[good.id].inputs.clip, [String(lora.id), 1]);
  setMode(e, [lora.id], 4);
  assert.deepEqual(graphToPrompt(flow)[good.id].inputs.clip, [String(loader.id), 1]);
  assert.deepEqual(graphToPrompt(flow)[sampler.id].inputs.model, [String(loader.id), 0]);
  setMode(e, [lora.id], 2);
  assert.equal('clip' in graphToPrompt(flow)[good.id].inputs, false);
  assert.equal(String(lora.id) in graphToPrompt(flow), false);
});

test('reroutes and primitives are looked through', () => {
  const { flow, decode, save, sampler } = txt2img();
  const e = new Edit(flow, flow.root);
  const [a, b] = [addNode(e, 'Reroute', [0, 0]), addNode(e, 'Reroute', [0, 0])];
  connect(e, { node: decode.id, slot: 0 }, { node: a.id, slot: 0 });
  connect(e, { node: a.id, slot: 0 }, { node: b.id, slot: 0 });
  connect(e, { node: b.id, slot: 0 }, { node: save.id, slot: 0 });
  const primitive = addNode(e, 'PrimitiveNode', [0, 0]);
  connect(e, { node: primitive.id, slot: 0 }, { node: sampler.id, widget: 'cfg' });
  e.settle();
  setValue(e, primitive.id, 'value', 3.5);
  const prompt = graphToPrompt(flow);
  assert.deepEqual(prompt[save.id].inputs.images, [String(decode.id), 0]);
  assert.equal(prompt[sampler.id].inputs.cfg, 3.5);
  assert.equal(String(a.id) in prompt || String(primitive.id) in prompt, false);
});

test('a wired widget sends its wire, and its value again when cut', () => {
  const { flow, sampler, latent } = txt2img();
  const e = new Edit(flow, flow.root);
  const any = addNode(e, 'Any', [0, 0]);
  const link = connect(e, { node: any.id, slot: 0 }, { node: latent.id, widget: 'width' });
  assert.deepEqual(graphToPrompt(flow)[latent.id].inputs.width, [String(any.id), 0]);
  assert.ok(link);
  e.change({ op: 'link-', id: link.id });
  assert.equal(graphToPrompt(flow)[latent.id].inputs.width, 512);
  void sampler;
});

test('a list value is wrapped so that it is not taken for a link', () => {
  const { flow, save } = txt2img();
  const e = new Edit(flow, flow.root);
  setValue(e, save.id, 'filename_prefix', ['1', 0]);
  assert.deepEqual(graphToPrompt(flow)[save.id].inputs.filename_prefix, { __value__: ['1', 0] });
});

test('{a|b} chooses, comments go, escaped braces stay', () => {
  assert.equal(choose('a {red|{dark |light }blue} cat /* note */', () => 0.99), 'a light blue cat ');
  assert.equal(choose('a \\{b\\} // gone', () => 0), 'a {b} ');
});

test('controls advance seeds between runs, within their bounds', () => {
  assert.equal(nextValue('fixed', 5, {}), undefined);
  assert.equal(nextValue('increment', 5, { step: 1, min: 0, max: 5 }), 5);
  assert.equal(nextValue('decrement', 5, { step: 2, min: 0, max: 9 }), 3);
  assert.equal(nextValue('increment-wrap', 'b', { values: ['a', 'b'] }), 'a');
  const random = dice(1);
  for (let i = 0; i < 100; i++) assert.ok(Number(nextValue('randomize', 0, { min: 0, max: 2 ** 64, step: 1 }, random)) <= 2 ** 50);
  const { flow, sampler } = txt2img();
  const e = new Edit(flow, flow.root);
  advance(e, (node, name, value) => setValue(e, node.id, name, value), () => 0.5);
  assert.notEqual(/** @type {any[]} */ (sampler.values)[0], 0);
});

test('group nodes of older files become subgraphs that send the same', () => {
  const inner = [
    { type: 'EmptyLatentImage', pos: [0, 0], size: [200, 100], outputs: [{ name: 'LATENT', type: 'LATENT', links: [] }], widgets_values: [1, 1, 1], index: 0 },
    { type: 'KSampler', pos: [300, 0], size: [200, 200], inputs: [{ name: 'model', type: 'MODEL', link: null }, { name: 'positive', type: 'CONDITIONING', link: null }, { name: 'negative', type: 'CONDITIONING', link: null }, { name: 'latent_image', type: 'LATENT', link: 5 }], outputs: [{ name: 'LATENT', type: 'LATENT', links: [] }], index: 1 },
  ];
  const file = {
    last_node_id: 4, last_link_id: 3, version: 0.4,
    nodes: [
      { id: 1, type: 'CheckpointLoaderSimple', pos: [0, 0], size: [100, 50], outputs: [{ name: 'MODEL', type: 'MODEL', links: [1] }, { name: 'CLIP', type: 'CLIP', links: [] }, { name: 'VAE', type: 'VAE', links: [3] }], widgets_values: ['a.safetensors'] },
      { id: 2, type: 'workflow>Sample it', pos: [200, 0], size: [300, 200], inputs: [{ name: 'model', type: 'MODEL', link: 1 }, { name: 'positive', type: 'CONDITIONING', link: null }, { name: 'negative', type: 'CONDITIONING', link: null }], outputs: [{ name: 'LATENT', type: 'LATENT', links: [2] }], widgets_values: [640, 480, 1, 77, 'fixed', 12, 5, 'heun'] },
      { id: 3, type: 'VAEDecode', pos: [600, 0], size: [100, 50], inputs: [{ name: 'samples', type: 'LATENT', link: 2 }, { name: 'vae', type: 'VAE', link: 3 }], outputs: [] },
    ],
    links: [[1, 1, 0, 2, 0, 'MODEL'], [2, 2, 0, 3, 0, 'LATENT'], [3, 1, 2, 3, 1, 'VAE']],
    extra: { groupNodes: { 'Sample it': { nodes: inner, links: [[0, 0, 1, 3, 9, 'LATENT']], external: [], config: {} } } },
  };
  const flow = workflowFromJson(file, defs());
  const e = new Edit(flow, flow.root);
  assert.equal(groupNodesToSubgraphs(e), 1);
  e.settle();
  const prompt = graphToPrompt(flow);
  assert.deepEqual(prompt['2:2'].inputs, { seed: 77, steps: 12, cfg: 5, sampler_name: 'heun', model: ['1', 0], latent_image: ['2:1', 0] });
  assert.deepEqual(prompt['2:1'].inputs, { width: 640, height: 480, batch_size: 1 });
  assert.deepEqual(prompt['3'].inputs.samples, ['2:2', 0]);
  e.rollback();
  assert.deepEqual(JSON.parse(JSON.stringify(workflowToJson(flow).nodes)), JSON.parse(JSON.stringify(workflowToJson(workflowFromJson(file, defs())).nodes)));
});
