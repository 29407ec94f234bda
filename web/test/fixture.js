/** Things the tests share: definitions like a server's, a small txt2img, and a random editor. */

import { Defs } from '../graph/defs.js';
import { Workflow } from '../graph/model.js';
import { Edit } from '../graph/record.js';
import * as edit from '../graph/edit.js';
import { duplicate, swapNode } from '../graph/copy.js';
import { makeSubgraph, unpack } from '../graph/sub.js';

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
  const [loader, good, bad, latent, sampler, decode, save] = ['CheckpointLoaderSimple', 'CLIPTextEncode', 'CLIPTextEncode', 'EmptyLatentImage', 'KSampler', 'VAEDecode', 'SaveImage'].map((type, i) => edit.addNode(e, type, [i * 300, 50 * i]));
  for (const [a, i, b, j] of /** @type {[any, number, any, number][]} */ ([[loader, 0, sampler, 0], [loader, 1, good, 0], [loader, 1, bad, 0], [good, 0, sampler, 1], [bad, 0, sampler, 2], [latent, 0, sampler, 3], [sampler, 0, decode, 0], [loader, 2, decode, 1], [decode, 0, save, 0]])) {
    if (!edit.connect(e, { node: a.id, slot: i }, { node: b.id, slot: j })) throw new Error(`cannot wire ${a.type} to ${b.type}`);
  }
  e.settle();
  return { flow, loader, good, bad, latent, sampler, decode, save };
}

/** One random edit. @param {Edit} e @param {() => number} random */
export function mutate(e, random) {
  const graph = e.graph;
  /** @template T @param {Iterable<T>} list @returns {T} */
  const pick = (list) => { const all = [...list]; return all[Math.floor(random() * all.length)]; };
  const nodes = [...graph.nodes.keys()];
  const some = nodes.filter(() => random() < 0.3);
  const id = pick(nodes);
  const types = ['KSampler', 'VAEDecode', 'LoadImage', 'Any', 'Reroute', 'PrimitiveNode', 'Growing', 'Choice', 'Note'];
  const acts = [
    () => edit.addNode(e, pick(types), [random() * 900, random() * 900]),
    () => id !== undefined && edit.removeItems(e, { nodes: [id] }, { heal: random() < 0.5 }),
    () => edit.moveItems(e, { nodes: some, groups: graph.groups.keys(), reroutes: graph.reroutes.keys() }, random() * 99, -random() * 9),
    () => {
      const [a, b] = [graph.node(pick(nodes)), graph.node(pick(nodes))];
      if (!a || !b) return;
      const widget = pick(b.widgets);
      const to = widget && random() < 0.4 ? { widget: widget.name } : { slot: Math.floor(random() * b.inputs.length) };
      if (a.outputs.length) edit.connect(e, { node: a.id, slot: Math.floor(random() * a.outputs.length) }, { node: b.id, ...to });
    },
    () => graph.links.size && edit.disconnect(e, pick(graph.links.keys())),
    () => graph.links.size && edit.addReroute(e, pick(graph.links.keys()), [random(), random()]),
    () => graph.reroutes.size && edit.removeReroute(e, pick(graph.reroutes.keys())),
    () => {
      const node = graph.node(id);
      const widget = node && pick(node.widgets);
      if (node && widget) edit.setValue(e, node.id, widget.name, widget.kind === 'number' ? Math.round(random() * 100) : widget.options.choice ? 'match' : `v${Math.round(random() * 9)}`);
    },
    () => edit.setMode(e, some, pick([0, 2, 4])),
    () => edit.setFlag(e, some, pick(['collapsed', 'pinned']), random() < 0.5),
    () => edit.groupAround(e, some, 'a group'),
    () => graph.groups.size && edit.removeItems(e, { groups: [pick(graph.groups.keys())] }),
    () => id !== undefined && edit.setTitle(e, id, random() < 0.5 ? 'A title' : ''),
    () => duplicate(e, { nodes: some }, [30, 30], { links: random() < 0.5 }),
    () => id !== undefined && swapNode(e, id, pick(types)),
    () => edit.align(e, some, 'left'),
    () => edit.distribute(e, some, 'y'),
    () => some.length > 1 && makeSubgraph(e, some),
    () => { const host = [...graph.nodes.values()].find((node) => e.flow.subs.has(node.type)); if (host && random() < 0.5) unpack(e, host.id); },
    () => graph.links.size && id !== undefined && edit.insertOnLink(e, pick(graph.links.keys()), id),
    () => edit.raise(e, some),
    () => edit.setColor(e, some, pick(['red', null])),
  ];
  pick(acts)?.();
}
