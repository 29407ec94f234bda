/** Things the tests share: definitions like a server's, a small txt2img, and a random editor. */

import { Defs } from '../graph/defs.js';
import { Workflow } from '../graph/model.js';
import { Edit } from '../graph/record.js';
import { addNode, connect } from '../graph/edit.js';

/** @param {any} required @param {any[]} output @param {any} [more] */
const node = (required, output, more = {}) => ({
  input: { required, optional: more.optional ?? {} }, output, output_name: output, output_is_list: output.map(() => false), category: more.category ?? 'test', display_name: more.title ?? '', output_node: Boolean(more.isOutput),
});

export const INFO = {
  CheckpointLoaderSimple: node({ ckpt_name: [['a.safetensors', 'b.safetensors'], {}] }, ['MODEL', 'CLIP', 'VAE']),
  CLIPTextEncode: node({ text: ['STRING', { multiline: true, dynamicPrompts: true }], clip: ['CLIP'] }, ['CONDITIONING']),
  EmptyLatentImage: node({ width: ['INT', { default: 512, min: 16, max: 8192, step: 8 }], height: ['INT', { default: 512 }], batch_size: ['INT', { default: 1, min: 1 }] }, ['LATENT']),
  KSampler: node({ model: ['MODEL'], seed: ['INT', { default: 0, min: 0, max: 2 ** 53 }], steps: ['INT', { default: 20, min: 1 }], cfg: ['FLOAT', { default: 8, step: 0.1 }], sampler_name: [['euler', 'heun'], {}], positive: ['CONDITIONING'], negative: ['CONDITIONING'], latent_image: ['LATENT'] }, ['LATENT']),
  VAEDecode: node({ samples: ['LATENT'], vae: ['VAE'] }, ['IMAGE']),
  SaveImage: node({ images: ['IMAGE'], filename_prefix: ['STRING', { default: 'out' }] }, [], { isOutput: true }),
  LoadImage: node({ image: [['x.png', 'y.png'], { image_upload: true }] }, ['IMAGE', 'MASK']),
  LoraLoader: node({ model: ['MODEL'], clip: ['CLIP'], lora_name: [['l'], {}], strength: ['FLOAT', { default: 1 }] }, ['MODEL', 'CLIP']),
  Any: node({ value: ['*'] }, ['*']),
  Choice: node({ mode: ['COMFY_DYNAMICCOMBO_V3', { options: [{ key: 'scale', inputs: { required: { by: ['FLOAT', { default: 2 }] } } }, { key: 'match', inputs: { required: { image: ['IMAGE'] } } }] }], tail: ['INT', { default: 7 }] }, ['IMAGE']),
  Growing: node({ images: ['COMFY_AUTOGROW_V3', { template: { input: { required: { image: ['IMAGE'] } }, prefix: 'image', min: 1, max: 4 } }] }, ['IMAGE']),
};

export function defs() {
  const made = new Defs();
  made.load(INFO);
  return made;
}

/** A small deterministic source of randomness. @param {number} seed */
export function dice(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export function txt2img() {
  const flow = new Workflow(defs());
  const e = new Edit(flow, flow.root, 'build');
  const [loader, good, bad, latent, sampler, decode, save] = ['CheckpointLoaderSimple', 'CLIPTextEncode', 'CLIPTextEncode', 'EmptyLatentImage', 'KSampler', 'VAEDecode', 'SaveImage'].map((type, i) => addNode(e, type, [i * 300, 50 * i]));
  for (const [a, i, b, j] of /** @type {[any, number, any, number][]} */ ([[loader, 0, sampler, 0], [loader, 1, good, 0], [loader, 1, bad, 0], [good, 0, sampler, 1], [bad, 0, sampler, 2], [latent, 0, sampler, 3], [sampler, 0, decode, 0], [loader, 2, decode, 1], [decode, 0, save, 0]])) {
    if (!connect(e, { node: a.id, slot: i }, { node: b.id, slot: j })) throw new Error(`cannot wire ${a.type} to ${b.type}`);
  }
  e.settle();
  return { flow, loader, good, bad, latent, sampler, decode, save };
}
