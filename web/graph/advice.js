/**
 * Whether samplers are set as their model's file was made for, and what to set where they are not. The file that counts is
 * the LoRA nearest to the sampler that distils the model, else the checkpoint; a model merged of several says nothing.
 */

import { folderOf, LOADED } from './kin.js';
import { originOf } from './prompt.js';
import { valueOf, widgetNamed } from './model.js';

/** @typedef {import('./model.js').Node} Node */
/** @typedef {import('./model.js').NodeId} NodeId */
/** @typedef {import('./prompt.js').Place} Place */
/** @typedef {{steps: number|null, cfg: number|null, sampler: string|null, scheduler: string|null, width: number|null, height: number|null, few_steps: boolean}} MadeFor what a file is for, as the server tells it */
/** @typedef {{steps?: number, cfg?: number, sampler?: string, scheduler?: string, width?: number, height?: number, few_steps?: boolean}} Known the same without what it does not say */
/** @typedef {{folder: string, name: string}} File */
/** @typedef {{node: Node, name: string, value: any}} Setting */
/** @typedef {{node: Node, file: File, made: Known, sizes: boolean, settings: Setting[]}} Advice sizes: the latent's size is far off, too */
/** @typedef {(file: File) => MadeFor|null|undefined} Facts null: the file says nothing; undefined: not known yet */

/** Our name of a setting, and the widget's. */
const WIDGETS = /** @type {[keyof MadeFor, string][]} */ ([['steps', 'steps'], ['cfg', 'cfg'], ['sampler', 'sampler_name'], ['scheduler', 'scheduler']]);
/** A LoRA with less strength than this changes how a model draws, not in how many steps. */
const STRONG = 0.4;
/** Times a picture's area may be larger or smaller than what the model knows. */
const FAR = 3;
/** Samplers that only distilled models draw well with. */
const DISTILLED = ['lcm'];

/** What there is to say in a graph, by the node that loads the file. @param {Place} place @param {Facts} facts @returns {Map<NodeId, Advice>} */
export function advise(place, facts) {
  /** @type {Map<NodeId, Advice>} */ const found = new Map();
  for (const node of place.graph.list) {
    if (node.mode !== 0 || !node.outputs.some((slot) => slot.type === 'LATENT')) continue;
    const chain = chainOf(place, node);
    const loaded = chain && speaking(chain, facts);
    if (!loaded || loaded.place.graph !== place.graph) continue;
    const { made, file } = loaded;
    const settings = differing(place, node, made);
    const sizes = sizesOf(place, node, made);
    if (!settings.length && !sizes.length) continue;
    const old = found.get(loaded.node.id);
    found.set(loaded.node.id, { node: loaded.node, file, made, sizes: Boolean(sizes.length) || Boolean(old?.sizes), settings: unique([...(old?.settings ?? []), ...settings, ...sizes]) });
  }
  return found;
}

/** @typedef {{place: Place, node: Node, file: File, strength: number}} Loaded */

/** What a sampler's model comes from: LoRAs, the nearest first, and last the file of the model itself; null where that is not one line. @param {Place} start @param {Node} sampler @returns {Loaded[]|null} */
function chainOf(start, sampler) {
  /** @type {Loaded[]} */ const chain = [];
  let place = start;
  let node = sampler;
  for (let steps = 0; steps < 1000; steps++) {
    const file = fileOf(place, node);
    if (file && node !== sampler) {
      chain.push({ place, node, file, strength: Number(numberOf(node, 'strength_model') ?? numberOf(node, 'strength') ?? 1) });
      if (LOADED.includes(file.folder)) return chain;
    }
    const wires = node.inputs.filter((slot) => ['MODEL', 'GUIDER'].includes(slot.type) && place.graph.link(slot.link));
    if (wires.length !== 1) return null;
    const origin = originOf(place, /** @type {any} */ (place.graph.link(wires[0].link)), wires[0].type);
    if (!origin || !('node' in origin)) return null;
    ({ place, node } = origin);
  }
  return null;
}

/** The file that counts, with what its model was made for. @param {Loaded[]} chain @param {Facts} facts @returns {(Loaded & {made: Known})|null} */
function speaking(chain, facts) {
  const base = chain[chain.length - 1];
  const told = facts(base.file);
  if (told === undefined) return null;
  for (const one of chain.slice(0, -1)) {
    const own = one.strength >= STRONG ? facts(one.file) : null;
    if (own === undefined) return null;
    if (own?.few_steps) return { ...one, made: { ...known(told ?? own), ...known(own) } };
  }
  return told && { ...base, made: known(told) };
}

/** @param {MadeFor} told @returns {Known} */
function known(told) {
  return Object.fromEntries(Object.entries(told).filter(([, value]) => value !== null));
}

/** What to set on a sampler and on what feeds it; nothing where it draws well as it is. @param {Place} place @param {Node} sampler @param {Known} made @returns {Setting[]} */
function differing(place, sampler, made) {
  const parts = partsOf(place, sampler);
  /** @type {Setting[]} */ const settings = [];
  let wrong = false;
  for (const [key, name] of WIDGETS) {
    const value = made[key];
    const node = parts.find((one) => widgetNamed(one, name));
    const widget = node && widgetNamed(node, name);
    if (value === undefined || !widget || wired(node, name)) continue;
    const { values } = widget.options;
    if (Array.isArray(values) && !values.includes(value)) continue;
    const now = valueOf(node, widget);
    if (now === value) continue;
    wrong ||= spoils(key, now, made);
    settings.push({ node, name, value });
  }
  return wrong ? settings : [];
}

/** Whether a value is so far from what the model was made for that pictures suffer; taste has its room. @param {keyof MadeFor} key @param {any} now @param {Known} made */
function spoils(key, now, made) {
  const { steps = 0, cfg = 0, sampler = '', few_steps: few } = made;
  if (key === 'steps') return now < steps / 2 || (Boolean(few) && now > steps * 3);
  if (key === 'cfg') return few ? now > cfg + 1 : (now <= 1 && cfg > 2) || now > cfg * 2.5;
  if (key === 'sampler') return few ? DISTILLED.includes(sampler) : DISTILLED.includes(now);
  return false;
}

/** A sampler, and the nodes in view that its guider, its sampler and its noise levels come from. @param {Place} place @param {Node} sampler @returns {Node[]} */
function partsOf(place, sampler) {
  const parts = [sampler];
  for (const node of parts) parts.push(...sources(place, node, ['GUIDER', 'SAMPLER', 'SIGMAS']).filter((one) => !parts.includes(one)));
  return parts;
}

/** The width and height of the empty latent a sampler starts from, where they are far from what the model knows. @param {Place} place @param {Node} sampler @param {Known} made @returns {Setting[]} */
function sizesOf(place, sampler, { width, height }) {
  if (!width || !height) return [];
  for (const node of sources(place, sampler, ['LATENT'])) {
    const [w, h] = [numberOf(node, 'width'), numberOf(node, 'height')];
    if (!w || !h || wired(node, 'width') || wired(node, 'height') || node.inputs.some((slot) => place.graph.link(slot.link))) continue;
    const times = (w * h) / (width * height);
    if (times > FAR || times < 1 / FAR) return [{ node, name: 'width', value: width }, { node, name: 'height', value: height }];
  }
  return [];
}

/** The nodes in view that inputs of some types come from. @param {Place} place @param {Node} node @param {string[]} types @returns {Node[]} */
function sources(place, node, types) {
  return node.inputs.flatMap((slot) => {
    const link = types.includes(slot.type) ? place.graph.link(slot.link) : undefined;
    const origin = link && originOf(place, link, slot.type);
    return origin && 'node' in origin && origin.place.graph === place.graph ? [origin.node] : [];
  });
}

/** The model file a node names. @param {Place} place @param {Node} node @returns {File|null} */
function fileOf(place, node) {
  for (const widget of node.widgets) {
    const folder = folderOf(widget.name);
    if (!folder || !(LOADED.includes(folder) || folder === 'loras')) continue;
    const link = place.graph.link(node.inputs.find((slot) => slot.widget?.name === widget.name)?.link);
    const origin = link && originOf(place, link, widget.type);
    const name = origin ? ('value' in origin ? origin.value : undefined) : valueOf(node, widget);
    return typeof name === 'string' && name ? { folder, name } : null;
  }
  return null;
}

/** @param {Node} node @param {string} name @returns {number|undefined} */
function numberOf(node, name) {
  const widget = widgetNamed(node, name);
  const value = widget && valueOf(node, widget);
  return typeof value === 'number' ? value : undefined;
}

/** Whether a value comes by a wire. @param {Node} node @param {string} name */
function wired(node, name) {
  const link = node.inputs.find((slot) => slot.widget?.name === name)?.link;
  return link !== null && link !== undefined;
}

/** @param {Setting[]} settings @returns {Setting[]} */
function unique(settings) {
  return settings.filter((one, i) => settings.findIndex((other) => other.node === one.node && other.name === one.name) === i);
}
