import assert from 'node:assert/strict';
import test from 'node:test';
import { Defs } from '../graph/defs.js';
import { Kinship } from '../graph/kin.js';
import { Workflow } from '../graph/model.js';
import { placeOf } from '../graph/prompt.js';
import { Edit } from '../graph/record.js';
import { addNode, connect, setMode, setValue } from '../graph/edit.js';
import { makeSubgraph } from '../graph/sub.js';
import { INFO } from './fixture.js';

const FLUX = { kind: 'lora', family: 'flux', title: 'Flux', channels: 16 };
const XL = { kind: 'checkpoint', family: 'sdxl', title: 'Stable Diffusion XL', channels: 4 };
const LINEAGES = {
  checkpoints: { 'xl.safetensors': XL, 'old.safetensors': { ...XL, family: 'sd1', title: 'Stable Diffusion 1' }, 'two.safetensors': { ...XL, family: 'sd2', title: 'Stable Diffusion 2' }, 'flux.safetensors': { ...FLUX, kind: 'checkpoint' } },
  loras: { 'flux-lora.safetensors': FLUX, 'xl-lora.safetensors': { ...XL, kind: 'lora' } },
  vae: { 'wide.safetensors': { kind: 'vae', family: null, title: null, channels: 16 } },
  controlnet: { 'xl-depth.safetensors': { ...XL, kind: 'controlnet' } },
};
const names = (/** @type {keyof typeof LINEAGES} */ folder) => [[...Object.keys(LINEAGES[folder]), 'unheard-of'], {}];
const kind = (/** @type {any} */ required, /** @type {string[]} */ output) => ({ input: { required }, output, output_name: output, output_is_list: output.map(() => false), category: '' });
const MORE = {
  ...INFO,
  CheckpointLoaderSimple: kind({ ckpt_name: names('checkpoints') }, ['MODEL', 'CLIP', 'VAE']),
  LoraLoader: kind({ model: ['MODEL'], clip: ['CLIP'], lora_name: names('loras') }, ['MODEL', 'CLIP']),
  VAELoader: kind({ vae_name: names('vae') }, ['VAE']),
  VAEEncode: kind({ pixels: ['IMAGE'], vae: ['VAE'] }, ['LATENT']),
  ControlNetLoader: kind({ control_net_name: names('controlnet') }, ['CONTROL_NET']),
  ControlNetApply: kind({ conditioning: ['CONDITIONING'], control_net: ['CONTROL_NET'] }, ['CONDITIONING']),
  ModelMergeSimple: kind({ model1: ['MODEL'], model2: ['MODEL'] }, ['MODEL']),
};

/** A workflow under construction: `at` adds a node, `wire` connects outputs to inputs by name. */
function bench() {
  const defs = new Defs();
  defs.load(/** @type {any} */ (MORE));
  const flow = new Workflow(defs);
  const e = new Edit(flow, flow.root);
  const at = (/** @type {string} */ type, values = {}) => addNode(e, type, [0, 0], { values });
  const wire = (/** @type {any} */ from, /** @type {number} */ slot, /** @type {any} */ to, /** @type {string} */ name) => {
    const link = connect(e, { node: from.id, slot }, { node: to.id, slot: to.inputs.findIndex((/** @type {any} */ one) => one.name === name) });
    assert.ok(link, `${from.type} to ${to.type}.${name}`);
    return link;
  };
  const clashes = () => new Kinship(/** @type {any} */ (LINEAGES)).clashes(placeOf(flow, []));
  return { flow, e, at, wire, clashes };
}

test('a LoRA of another family says so at its model wire, one that fits or is unknown says nothing', () => {
  const { e, at, wire, clashes } = bench();
  const model = at('CheckpointLoaderSimple', { ckpt_name: 'xl.safetensors' });
  const lora = at('LoraLoader', { lora_name: 'flux-lora.safetensors' });
  const link = wire(model, 0, lora, 'model');
  wire(model, 1, lora, 'clip');
  assert.deepEqual([...clashes()], [[link.id, { key: 'why.lora', vars: { file: 'Flux', model: 'Stable Diffusion XL' } }]]);
  setValue(e, lora.id, 'lora_name', 'xl-lora.safetensors');
  assert.equal(clashes().size, 0);
  setValue(e, lora.id, 'lora_name', 'flux-lora.safetensors');
  setValue(e, model.id, 'ckpt_name', 'unheard-of');
  assert.equal(clashes().size, 0);
});

test('it is known before the wire is there', () => {
  const { flow, at } = bench();
  const model = at('CheckpointLoaderSimple', { ckpt_name: 'flux.safetensors' });
  const lora = at('LoraLoader', { lora_name: 'xl-lora.safetensors' });
  const kinship = new Kinship(/** @type {any} */ (LINEAGES));
  assert.equal(kinship.would(placeOf(flow, []), { node: model.id, slot: 0 }, { node: lora.id, slot: 0 })?.key, 'why.lora');
  assert.equal(kinship.would(placeOf(flow, []), { node: model.id, slot: 1 }, { node: lora.id, slot: 1 }), null);
});

test('a latent of 16 channels does not go into a VAE of 4, through whatever it comes', () => {
  const { flow, e, at, wire, clashes } = bench();
  const model = at('CheckpointLoaderSimple', { ckpt_name: 'flux.safetensors' });
  const other = at('CheckpointLoaderSimple', { ckpt_name: 'xl.safetensors' });
  const [sampler, again, decode] = [at('KSampler'), at('KSampler'), at('VAEDecode')];
  wire(model, 0, sampler, 'model');
  wire(sampler, 0, again, 'latent_image');
  const into = wire(again, 0, decode, 'samples');
  const vae = wire(other, 2, decode, 'vae');
  assert.deepEqual([...clashes()], [[into.id, { key: 'why.latentVae', vars: { has: 16, takes: 4 } }]]);
  setMode(e, [again.id], 4);
  assert.deepEqual([...clashes().keys()], [into.id], 'through a bypassed node');
  assert.equal(new Kinship(/** @type {any} */ (LINEAGES)).would(placeOf(flow, []), { node: model.id, slot: 2 }, { node: decode.id, slot: 1 }), null);
  const host = makeSubgraph(e, [sampler.id]);
  e.settle();
  assert.ok(host && flow.root.links.get(vae.id));
  assert.equal(clashes().size, 1, 'out of a subgraph');
});

test('a latent of as many channels for another VAE says so, one of a family with the same VAE does not', () => {
  const { e, at, wire, clashes } = bench();
  const model = at('CheckpointLoaderSimple', { ckpt_name: 'xl.safetensors' });
  const other = at('CheckpointLoaderSimple', { ckpt_name: 'old.safetensors' });
  const [sampler, decode] = [at('KSampler'), at('VAEDecode')];
  wire(model, 0, sampler, 'model');
  const into = wire(sampler, 0, decode, 'samples');
  wire(other, 2, decode, 'vae');
  assert.deepEqual([...clashes()], [[into.id, { key: 'why.latentKin', vars: { has: 'Stable Diffusion XL', takes: 'Stable Diffusion 1' } }]]);
  setValue(e, model.id, 'ckpt_name', 'two.safetensors');
  assert.equal(clashes().size, 0);
});

test('a latent that was encoded for one model does not go into another; an empty one goes anywhere', () => {
  const { at, wire, clashes } = bench();
  const model = at('CheckpointLoaderSimple', { ckpt_name: 'xl.safetensors' });
  const [vae, encode, sampler] = [at('VAELoader', { vae_name: 'wide.safetensors' }), at('VAEEncode'), at('KSampler')];
  wire(model, 0, sampler, 'model');
  wire(at('EmptyLatentImage'), 0, sampler, 'latent_image');
  assert.equal(clashes().size, 0);
  wire(vae, 0, encode, 'vae');
  wire(encode, 0, sampler, 'latent_image');
  assert.deepEqual([...clashes().values()], [{ key: 'why.latentModel', vars: { has: 16, takes: 4 } }]);
});

test('prompts, ControlNets and merges must be of one family', () => {
  const { at, wire, clashes } = bench();
  const [xl, flux] = ['xl', 'flux'].map((name) => at('CheckpointLoaderSimple', { ckpt_name: `${name}.safetensors` }));
  const [text, apply, sampler, merge] = [at('CLIPTextEncode'), at('ControlNetApply'), at('KSampler'), at('ModelMergeSimple')];
  wire(flux, 1, text, 'clip');
  wire(text, 0, apply, 'conditioning');
  const control = wire(at('ControlNetLoader', { control_net_name: 'xl-depth.safetensors' }), 0, apply, 'control_net');
  wire(xl, 0, sampler, 'model');
  const prompt = wire(apply, 0, sampler, 'positive');
  wire(xl, 0, merge, 'model1');
  const second = wire(flux, 0, merge, 'model2');
  assert.deepEqual(Object.fromEntries([...clashes()].map(([id, { key }]) => [id, key])), { [control.id]: 'why.control', [prompt.id]: 'why.words', [second.id]: 'why.models' });
});

test('inside a subgraph, what comes from outside is known', () => {
  const { flow, e, at, wire } = bench();
  const model = at('CheckpointLoaderSimple', { ckpt_name: 'xl.safetensors' });
  const lora = at('LoraLoader', { lora_name: 'flux-lora.safetensors' });
  wire(model, 0, lora, 'model');
  const host = makeSubgraph(e, [lora.id]);
  e.settle();
  assert.ok(host);
  assert.equal(new Kinship(/** @type {any} */ (LINEAGES)).clashes(placeOf(flow, [host.id])).size, 1);
});
