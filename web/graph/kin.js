/**
 * Which wires cannot work although their types fit: a LoRA of another family than the model, a latent with more channels
 * than the VAE takes. Known as far as the model files tell whose they are; where one says nothing, nothing is said.
 */

import { originOf } from './prompt.js';
import { valueOf } from './model.js';

/** @typedef {import('./model.js').Node} Node */
/** @typedef {import('./model.js').Link} Link */
/** @typedef {import('./prompt.js').Place} Place */
/** @typedef {import('./types.js').Reason} Reason */
/** @typedef {{kind: string, family: string|null, title: string|null, channels: number|null}} Lineage of a file, as the server tells it */
/** @typedef {Record<string, Record<string, Lineage>>} Lineages by folder and file */
/** @typedef {{family?: string|null, title?: string|null, channels?: number|null}} Kin what is known of the data on a wire */

/** The widgets that name a model file, with its folder. */
const FOLDERS = /** @type {[RegExp, string][]} */ ([[/^ckpt_name/, 'checkpoints'], [/^unet_name/, 'diffusion_models'], [/^lora_name/, 'loras'], [/^vae_name/, 'vae'], [/^control_net_name/, 'controlnet']]);

/** The folders whose files are models. */
export const LOADED = ['checkpoints', 'diffusion_models'];

/** The folder of the files a widget names, if it names any. @param {string} name */
export const folderOf = (name) => FOLDERS.find(([pattern]) => pattern.test(name))?.[1];

/** Types that say whose they are, and from which inputs an output has it, the first that knows. */
const FROM = /** @type {Record<string, string[]>} */ ({
  MODEL: ['MODEL'], CLIP: ['CLIP'], VAE: ['VAE'], CONTROL_NET: ['CONTROL_NET'], GUIDER: ['MODEL'], CONDITIONING: ['CONDITIONING', 'CLIP'], LATENT: ['MODEL', 'GUIDER', 'VAE', 'LATENT'],
});
/** Families that understand each other's files. */
const NEAR = [['flux', 'chroma']];
/** Families of one VAE; another's latents look alike, but their colours come out wrong. */
const SHARED = [['sd1', 'sd2', 'svd'], ['sdxl', 'sdxl_refiner']];
/** @type {Kin} */
const NOTHING = {};

export class Kinship {
  /** @param {Lineages} lineages */
  constructor(lineages) {
    this.lineages = lineages;
    this.empty = !Object.values(lineages).some((files) => Object.keys(files).length);
    /** @type {Map<string, Kin>} by path and slot, while one question is answered */ this.known = new Map();
  }

  /** Links of a graph that cannot work, and why. @param {Place} place @returns {Map<number, Reason>} */
  clashes(place) {
    /** @type {Map<number, Reason>} */ const found = new Map();
    if (this.empty || this.alike(place)) return found;
    this.known.clear();
    for (const node of place.graph.list) {
      if (!node.def || node.def.virtual || place.graph.flow.subs.has(node.type)) continue;
      for (const [slot, reason] of this.inside(place, node)) found.set(/** @type {number} */ (node.inputs[slot].link), reason);
    }
    return found;
  }

  /** Whether all files a graph names are of one family and one number of channels, as in most graphs: then nothing can clash. @param {Place} place */
  alike({ graph, outer }) {
    if (outer || graph.flow.subs.size) return false;
    /** @type {Map<import('./defs.js').NodeDef, {name: string, folder: string}[]>} */ const named = new Map();
    /** @type {Set<string>} */ const families = new Set();
    /** @type {Set<number>} */ const channels = new Set();
    for (const node of graph.list) {
      if (!node.def) continue;
      let files = named.get(node.def);
      if (!files) named.set(node.def, (files = node.def.widgets.flatMap(({ name }) => FOLDERS.filter(([pattern]) => pattern.test(name)).map(([, folder]) => ({ name, folder })))));
      for (const { name, folder } of files) {
        if (node.inputs.some((slot) => slot.widget?.name === name && slot.link !== null)) return false;
        const widget = node.widgets.find((one) => one.name === name);
        const found = widget && this.lineages[folder]?.[String(valueOf(node, widget))];
        if (found?.family) families.add(found.family);
        if (found?.channels) channels.add(found.channels);
      }
      if (families.size > 1 || channels.size > 1) return false;
    }
    return true;
  }

  /** Why a wire that is not there yet could not work. @param {Place} place @param {{node: any, slot: number}} from @param {{node: any, slot?: number}} to @returns {Reason|null} */
  would(place, from, to) {
    const node = place.graph.node(to.node);
    if (this.empty || !node || to.slot === undefined || to.slot < 0 || !node.inputs[to.slot]) return null;
    this.known.clear();
    const before = this.inside(place, node);
    this.known.clear();
    const link = /** @type {Link} */ ({ id: -1, from: from.node, fromSlot: from.slot, to: node.id, toSlot: to.slot, type: node.inputs[to.slot].type, z: 0 });
    const after = this.inside(place, node, link);
    return after.get(to.slot) ?? [...after].find(([slot]) => !before.has(slot))?.[1] ?? null;
  }

  /** The inputs of a node whose wires clash with its others or with its file. @param {Place} place @param {Node} node @param {Link} [extra] a wire thought of @returns {Map<number, Reason>} */
  inside(place, node, extra) {
    /** @type {Map<number, Reason>} */ const found = new Map();
    /** @type {{slot: number, type: string, kin: Kin}[]} */ const ends = [];
    node.inputs.forEach((one, slot) => {
      const link = extra?.toSlot === slot ? extra : place.graph.link(one.link);
      const kin = link && one.type in FROM ? this.of(place, link, one.type) : NOTHING;
      if (kin !== NOTHING) ends.push({ slot, type: one.type, kin });
    });
    if (!ends.length) return found;
    const first = (/** @type {string[]} */ ...types) => ends.find(({ type }) => types.includes(type));
    const model = first('MODEL', 'GUIDER'), vae = first('VAE'), words = first('CONDITIONING');
    const lora = this.file(place, node, 'loras');
    for (const { slot, type, kin } of ends) {
      if (type === 'MODEL' && lora && strangers(kin, lora)) found.set(slot, { key: 'why.lora', vars: { file: String(lora.title), model: String(kin.title) } });
      else if (type === 'MODEL' && model && model.slot !== slot && strangers(kin, model.kin)) found.set(slot, { key: 'why.models', vars: { one: String(kin.title), other: String(model.kin.title) } });
      else if (type === 'CONDITIONING' && model && strangers(kin, model.kin)) found.set(slot, { key: 'why.words', vars: { words: String(kin.title), model: String(model.kin.title) } });
      else if (type === 'CONTROL_NET' && words && strangers(kin, words.kin)) found.set(slot, { key: 'why.control', vars: { file: String(kin.title), words: String(words.kin.title) } });
      else if (type === 'LATENT') {
        const by = model ?? vae;
        if (by?.kin.channels && kin.channels && by.kin.channels !== kin.channels) found.set(slot, { key: model ? 'why.latentModel' : 'why.latentVae', vars: { has: kin.channels, takes: by.kin.channels } });
        else if (by && apart(by.kin, kin)) found.set(slot, { key: 'why.latentKin', vars: { has: String(kin.title), takes: String(by.kin.title) } });
      }
    }
    return found;
  }

  /** What is known of the data on a wire. @param {Place} start @param {Link} link @param {string} type @returns {Kin} */
  of(start, link, type) {
    const origin = originOf(start, link, type);
    if (!origin || !('node' in origin)) return NOTHING;
    const { place, node, slot } = origin;
    const key = `${place.path}${node.id}/${slot}`;
    const known = this.known.get(key);
    if (known) return known;
    this.known.set(key, NOTHING); // a wire that comes back to itself knows nothing
    const kin = this.given(place, node, String(node.outputs[slot]?.type ?? type));
    this.known.set(key, kin);
    return kin;
  }

  /** @param {Place} place @param {Node} node @param {string} type of its output @returns {Kin} */
  given(place, node, type) {
    const file = { MODEL: ['checkpoints', 'diffusion_models'], CLIP: ['checkpoints'], VAE: ['vae', 'checkpoints'], CONTROL_NET: ['controlnet'] }[type]?.map((folder) => this.file(place, node, folder)).find(Boolean);
    if (file) return file;
    for (const wanted of FROM[type] ?? []) {
      for (const one of node.inputs) {
        const link = one.type === wanted ? place.graph.link(one.link) : undefined;
        const kin = link ? this.of(place, link, wanted) : NOTHING;
        if (kin !== NOTHING) return kin;
      }
    }
    return NOTHING;
  }

  /** Whose the file is that a node names. @param {Place} place @param {Node} node @param {string} folder @returns {Lineage|undefined} */
  file(place, node, folder) {
    const files = this.lineages[folder];
    const widget = files && node.widgets.find(({ name }) => FOLDERS.some(([pattern, home]) => home === folder && pattern.test(name)));
    if (!widget) return undefined;
    const link = place.graph.link(node.inputs.find((slot) => slot.widget?.name === widget.name)?.link);
    const origin = link && originOf(place, link, widget.type);
    const value = origin ? ('value' in origin ? origin.value : undefined) : valueOf(node, widget);
    const found = files[String(value)];
    return found?.family || found?.channels ? found : undefined;
  }
}

/** Whether two are known to be of families that do not go together. @param {Kin} a @param {Kin} b */
function strangers(a, b) {
  if (!a.family || !b.family || a.family === b.family) return false;
  return !NEAR.some((pair) => pair.includes(/** @type {string} */ (a.family)) && pair.includes(/** @type {string} */ (b.family)));
}

/** Whether two are known to have other VAEs. @param {Kin} a @param {Kin} b */
function apart(a, b) {
  const [one, other] = [a, b].map(({ family }) => SHARED.findIndex((group) => group.includes(String(family))));
  return one !== other && one >= 0 && other >= 0;
}
