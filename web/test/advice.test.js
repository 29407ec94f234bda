import assert from 'node:assert/strict';
import test from 'node:test';
import { advise } from '../graph/advice.js';
import { addNode, connect, setMode, setValue } from '../graph/edit.js';
import { Defs } from '../graph/defs.js';
import { Workflow } from '../graph/model.js';
import { placeOf } from '../graph/prompt.js';
import { Edit } from '../graph/record.js';
import { INFO } from './fixture.js';

const kind = (/** @type {any} */ required, /** @type {string[]} */ output) => ({ input: { required }, output, output_name: output, output_is_list: output.map(() => false), category: '' });
const SAMPLERS = [['euler', 'lcm', 'dpmpp_2m'], {}], SCHEDULERS = [['normal', 'karras', 'sgm_uniform'], {}];
const STEPS = ['INT', { default: 20 }], CFG = ['FLOAT', { default: 7 }];
const MORE = {
  ...INFO,
  CheckpointLoaderSimple: kind({ ckpt_name: [['sd1', 'xl', 'turbo', 'mute'], {}] }, ['MODEL', 'CLIP', 'VAE']),
  LoraLoaderModelOnly: kind({ model: ['MODEL'], lora_name: [['lcm', 'style'], {}], strength_model: ['FLOAT', { default: 1 }] }, ['MODEL']),
  KSampler: kind({ model: ['MODEL'], steps: STEPS, cfg: CFG, sampler_name: SAMPLERS, scheduler: SCHEDULERS, latent_image: ['LATENT'] }, ['LATENT']),
  ModelMergeSimple: kind({ model1: ['MODEL'], model2: ['MODEL'] }, ['MODEL']),
  CFGGuider: kind({ model: ['MODEL'], cfg: CFG }, ['GUIDER']),
  KSamplerSelect: kind({ sampler_name: SAMPLERS }, ['SAMPLER']),
  BasicScheduler: kind({ model: ['MODEL'], scheduler: SCHEDULERS, steps: STEPS }, ['SIGMAS']),
  SamplerCustomAdvanced: kind({ guider: ['GUIDER'], sampler: ['SAMPLER'], sigmas: ['SIGMAS'], latent_image: ['LATENT'] }, ['LATENT']),
};
const PLAIN = { steps: 20, cfg: 7, sampler: 'euler', scheduler: 'normal', width: 512, height: 512, few_steps: false };
const NOTHING = { steps: null, cfg: null, sampler: null, scheduler: null, width: null, height: null, few_steps: false };
const FEW = { ...NOTHING, steps: 4, cfg: 1, sampler: 'lcm', scheduler: 'sgm_uniform', few_steps: true };
/** @type {Record<string, any>} */
const FACTS = { sd1: PLAIN, xl: { ...PLAIN, steps: 25, cfg: 5, width: 1024, height: 1024 }, turbo: { ...PLAIN, ...FEW, width: 512, height: 512 }, mute: null, lcm: FEW, style: null };

/** A loader, a latent and a KSampler, wired. @param {string} file */
function bench(file) {
  const defs = new Defs();
  defs.load(/** @type {any} */ (MORE));
  const flow = new Workflow(defs);
  const e = new Edit(flow, flow.root);
  const at = (/** @type {string} */ type, values = {}) => addNode(e, type, [0, 0], { values });
  const wire = (/** @type {any} */ from, /** @type {any} */ to, /** @type {string} */ name) => assert.ok(connect(e, { node: from.id, slot: 0 }, { node: to.id, slot: to.inputs.findIndex((/** @type {any} */ one) => one.name === name) }));
  const loader = at('CheckpointLoaderSimple', { ckpt_name: file });
  const latent = at('EmptyLatentImage');
  const sampler = at('KSampler');
  wire(loader, sampler, 'model');
  wire(latent, sampler, 'latent_image');
  const said = () => Object.fromEntries([...advise(placeOf(flow, []), ({ name }) => FACTS[name])].map(([id, one]) => [id, Object.fromEntries(one.settings.map(({ node, name, value }) => [`${node.type}.${name}`, value]))]));
  const use = () => { for (const one of advise(placeOf(flow, []), ({ name }) => FACTS[name]).values()) for (const { node, name, value } of one.settings) setValue(e, node.id, name, value); };
  return { e, flow, at, wire, loader, latent, sampler, said, use };
}

test('a plain model leaves room for taste, and speaks up at the settings of a distilled one', () => {
  const { e, sampler, loader, said, use } = bench('sd1');
  assert.deepEqual(said(), {});
  for (const [name, value] of [['steps', 40], ['cfg', 4.5], ['sampler_name', 'dpmpp_2m'], ['scheduler', 'karras']]) setValue(e, sampler.id, String(name), value);
  assert.deepEqual(said(), {}, 'thirty steps of another sampler are a matter of taste');
  setValue(e, sampler.id, 'steps', 4);
  assert.deepEqual(said(), { [loader.id]: { 'KSampler.steps': 20, 'KSampler.cfg': 7, 'KSampler.sampler_name': 'euler', 'KSampler.scheduler': 'normal' } });
  use();
  assert.deepEqual(said(), {}, 'gone when they agree');
});

test('a distilled model says what it needs, with as few steps as some like', () => {
  const { e, sampler, loader, said, use } = bench('turbo');
  assert.deepEqual(said()[loader.id], { 'KSampler.steps': 4, 'KSampler.cfg': 1, 'KSampler.sampler_name': 'lcm', 'KSampler.scheduler': 'sgm_uniform' });
  use();
  for (const [name, value] of [['steps', 8], ['cfg', 1.5], ['scheduler', 'karras']]) setValue(e, sampler.id, String(name), value);
  assert.deepEqual(said(), {});
});

test('a size is spoken of when it is far off, and set alone when the rest is well', () => {
  const { e, latent, loader, said } = bench('xl');
  assert.deepEqual(said(), { [loader.id]: { 'EmptyLatentImage.width': 1024, 'EmptyLatentImage.height': 1024 } });
  setValue(e, latent.id, 'width', 832);
  setValue(e, latent.id, 'height', 1216);
  assert.deepEqual(said(), {});
});

test('a LoRA that distils speaks for the model under it, unless it is weak, bypassed or of another kind', () => {
  const { e, at, wire, loader, sampler, said } = bench('sd1');
  const lora = at('LoraLoaderModelOnly', { lora_name: 'lcm' });
  wire(loader, lora, 'model');
  wire(lora, sampler, 'model');
  assert.deepEqual(Object.keys(said()), [String(lora.id)]);
  for (const [name, value, back] of [['strength_model', 0.2, 1], ['lora_name', 'style', 'lcm']]) {
    setValue(e, lora.id, String(name), value);
    assert.deepEqual(said(), {});
    setValue(e, lora.id, String(name), back);
  }
  setMode(e, [lora.id], 4);
  assert.deepEqual(said(), {});
});

test('guider, sampler and noise levels of custom sampling are set where they are', () => {
  const { at, wire, loader, latent, said } = bench('turbo');
  const [guider, select, levels, custom] = ['CFGGuider', 'KSamplerSelect', 'BasicScheduler', 'SamplerCustomAdvanced'].map((type) => at(type));
  for (const to of [guider, levels]) wire(loader, to, 'model');
  for (const [from, name] of /** @type {[any, string][]} */ ([[guider, 'guider'], [select, 'sampler'], [levels, 'sigmas'], [latent, 'latent_image']])) wire(from, custom, name);
  const found = said()[loader.id];
  assert.equal(found['CFGGuider.cfg'], 1);
  assert.equal(found['KSamplerSelect.sampler_name'], 'lcm');
  assert.equal(found['BasicScheduler.steps'], 4);
  assert.equal(found['BasicScheduler.scheduler'], 'sgm_uniform');
});

test('nothing is said of what nobody knows: a file that says nothing, one not read yet, two models merged', () => {
  assert.deepEqual(bench('mute').said(), {});
  const { flow } = bench('turbo');
  assert.equal(advise(placeOf(flow, []), () => undefined).size, 0);
  const { at, wire, loader, sampler, said } = bench('turbo');
  const merge = at('ModelMergeSimple');
  wire(loader, merge, 'model1');
  wire(loader, merge, 'model2');
  wire(merge, sampler, 'model');
  assert.deepEqual(said(), {});
});
