/**
 * From the graph on the canvas to what the server runs: subgraphs flattened to path ids ("12:5"), bypassed and virtual
 * nodes looked through, muted ones left out.
 */

import { BYPASSED, INPUTS, MUTED, ownValue, valueOf, widgetNamed } from './model.js';
import { bypassSlot } from './links.js';

/** @typedef {import('./model.js').Workflow} Workflow */
/** @typedef {import('./model.js').Graph} Graph */
/** @typedef {import('./model.js').Node} Node */
/** @typedef {import('./model.js').Link} Link */
/** @typedef {{graph: Graph, path: string, host?: Node, outer?: Place}} Place a graph as seen from one instance */
/** @typedef {{id: string, slot: number}|{value: any}|{muted: true}|null} Source */
/** @typedef {{place: Place, node: Node, slot: number}|{value: any}|{muted: true}|null} Origin */

/**
 * @param {Workflow} flow
 * @param {{random?: () => number, keepText?: boolean}} [options] keepText: leave {a|b} in prompts as it is written
 * @returns {Record<string, {class_type: string, inputs: Record<string, any>, _meta: {title: string}}>}
 */
export function graphToPrompt(flow, options = {}) {
  /** @type {Record<string, any>} */ const prompt = {};
  for (const { place, node } of executable({ graph: flow.root, path: '' })) {
    prompt[place.path + node.id] = { inputs: inputsOf(place, node, options), class_type: node.type, _meta: { title: node.label } };
  }
  for (const entry of Object.values(prompt)) {
    for (const [name, value] of Object.entries(entry.inputs)) if (Array.isArray(value) && !(value[0] in prompt)) delete entry.inputs[name];
  }
  return prompt;
}

/** Every node that runs, each with the place it runs at. @param {Place} place @returns {Generator<{place: Place, node: Node}>} */
export function* executable(place) {
  for (const node of place.graph.sorted()) {
    if (node.def?.virtual || node.mode === MUTED || node.mode === BYPASSED) continue;
    const sub = place.graph.flow.subs.get(node.type);
    if (!sub) yield { place, node };
    else if (!inside(place, sub)) yield* executable({ graph: sub, path: `${place.path}${node.id}:`, host: node, outer: place });
  }
}

/** Whether a graph contains itself. @param {Place|undefined} place @param {Graph} graph */
function inside(place, graph) {
  for (let at = place; at; at = at.outer) if (at.graph === graph) return true;
  return false;
}

/** @param {Place} place @param {Node} node @param {{random?: () => number, keepText?: boolean}} options */
function inputsOf(place, node, options) {
  /** @type {Record<string, any>} */ const inputs = {};
  for (const widget of node.widgets) {
    if (widget.silent) continue;
    const hidden = hostValue(place, node, widget);
    const value = hidden === undefined ? valueOf(node, widget) : hidden;
    if (value === undefined) continue;
    inputs[widget.name] = Array.isArray(value) ? { __value__: value } : spoken(widget, value, options);
  }
  node.inputs.forEach((slot) => {
    const link = place.graph.link(slot.link);
    if (!link) return;
    const name = slot.widget?.name ?? slot.name;
    const source = trace(place, link, slot.type);
    if (!source) return;
    if ('muted' in source) delete inputs[name];
    else if ('value' in source) inputs[name] = Array.isArray(source.value) ? { __value__: source.value } : source.value;
    else inputs[name] = [source.id, source.slot];
  });
  return inputs;
}

/** A value an instance holds for an unlinked widget inside (the older way of promoting). @param {Place} place @param {Node} node @param {import('./model.js').Widget} widget */
function hostValue(place, node, widget) {
  for (let at = place, key = `${node.id}.${widget.name}`; at.host && at.outer; at = at.outer) {
    const proxy = widgetNamed(at.host, key);
    if (!proxy) return undefined;
    const value = ownValue(at.host, proxy);
    if (value !== undefined) return value;
    key = `${at.host.id}.${key}`;
  }
  return undefined;
}

/** @param {import('./model.js').Widget} widget @param {any} value @param {{random?: () => number, keepText?: boolean}} options */
function spoken(widget, value, { random = Math.random, keepText = false }) {
  return widget.options.dynamicPrompts && typeof value === 'string' && !keepText ? choose(value, random) : value;
}

/** What a wire means to the server. @param {Place} start @param {Link} first @param {string} wanted type at the end @returns {Source} */
export function trace(start, first, wanted) {
  const origin = originOf(start, first, wanted);
  return origin && 'node' in origin ? { id: origin.place.path + origin.node.id, slot: origin.slot } : origin;
}

/**
 * Where a wire really comes from: through ports of subgraphs, bypassed nodes and nodes that live in the editor only.
 * @param {Place} start @param {Link} first @param {string} wanted type at the end @returns {Origin}
 */
export function originOf(start, first, wanted) {
  let place = start;
  /** @type {Link|undefined} */ let link = first;
  for (let steps = 0; link && steps < 10000; steps++) {
    if (link.from === INPUTS) {
      const { host, outer } = place;
      const port = place.graph.inputs[link.fromSlot];
      if (!host || !outer || !port) return null;
      const slot = host.inputs.find((one) => one.name === port.name) ?? host.inputs[link.fromSlot];
      const beyond = outer.graph.link(slot?.link);
      if (!beyond) {
        const widget = widgetNamed(host, port.name);
        return widget ? { value: valueOf(host, widget) } : null;
      }
      [place, link] = [outer, beyond];
      continue;
    }
    const node = place.graph.node(link.from);
    if (!node) return null;
    if (node.mode === MUTED) return { muted: true };
    if (node.mode === BYPASSED) link = place.graph.link(node.inputs[bypassSlot(node, link.fromSlot, wanted)]?.link);
    else if (node.type === 'PrimitiveNode') return node.widgets[0] ? { value: valueOf(node, node.widgets[0]) } : null;
    else if (node.def?.virtual) link = place.graph.link(node.inputs[link.fromSlot]?.link);
    else {
      const sub = place.graph.flow.subs.get(node.type);
      if (!sub) return { place, node, slot: link.fromSlot };
      if (inside(place, sub)) return null;
      const port = sub.outputs[link.fromSlot];
      place = { graph: sub, path: `${place.path}${node.id}:`, host: node, outer: place };
      link = sub.link(port?.linkIds[0]);
    }
  }
  return null;
}

/** The graph one looks at, as seen from the instances entered. @param {Workflow} flow @param {import('./model.js').NodeId[]} trail @returns {Place} */
export function placeOf(flow, trail) {
  /** @type {Place} */ let place = { graph: flow.root, path: '' };
  for (const id of trail) {
    const host = place.graph.node(id);
    const graph = host && flow.subs.get(host.type);
    if (!graph) break;
    place = { graph, path: `${place.path}${host.id}:`, host, outer: place };
  }
  return place;
}

/** Resolves {a|b|c} to one of its parts, and drops comments. @param {string} text @param {() => number} random */
export function choose(text, random) {
  let out = text.replace(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm, '');
  for (let n = 0; n < 1000; n++) {
    const next = out.replace(/(?<!\\)\{([^{}]*)(?<!\\)\}/, (_, /** @type {string} */ body) => {
      const parts = body.split('|');
      return parts[Math.min(parts.length - 1, Math.floor(random() * parts.length))];
    });
    if (next === out) break;
    out = next;
  }
  return out.replace(/\\([{}])/g, '$1');
}

/** The largest seed files elsewhere keep exact. */
const MAX_SEED = 2 ** 50;

/**
 * What a control makes of its value for the next run; undefined if it stays.
 * @param {string} mode @param {any} value @param {Record<string, any>} options of the controlled widget @param {() => number} [random]
 */
export function nextValue(mode, value, options, random = Math.random) {
  if (mode === 'fixed' || !mode) return undefined;
  if (Array.isArray(options.values)) {
    const at = options.values.indexOf(value);
    const n = options.values.length;
    const index = mode === 'randomize' ? Math.floor(random() * n) : at + (mode === 'decrement' ? -1 : 1);
    return options.values[mode === 'increment-wrap' ? ((index % n) + n) % n : Math.max(0, Math.min(n - 1, index))];
  }
  const step = options.step ?? 1;
  const min = Math.max(options.min ?? 0, -MAX_SEED);
  const max = Math.min(options.max ?? MAX_SEED, MAX_SEED);
  if (mode === 'randomize') return min + Math.floor(random() * ((max - min) / step)) * step;
  return Math.max(min, Math.min(max, Number(value) + (mode === 'decrement' ? -step : step)));
}

/** Advances every seed that is not fixed. @param {import('./record.js').Edit} e @param {(node: Node, name: string, value: any) => void} set @param {() => number} [random] */
export function advance(e, set, random) {
  for (const graph of e.flow.graphs()) {
    for (const node of graph.nodes.values()) {
      for (const control of node.widgets.filter((widget) => widget.kind === 'control')) {
        const target = widgetNamed(node, control.options.of);
        if (!target) continue;
        const link = graph.link(node.inputs.find((slot) => slot.widget?.name === target.name)?.link);
        const mode = valueOf(node, control);
        if (link && link.from !== INPUTS) continue;
        const holders = link ? e.flow.instances(graph.id).map((host) => ({ ...host, name: graph.inputs[link.fromSlot].name })) : [{ graph, node, name: target.name }];
        for (const holder of holders) {
          const widget = widgetNamed(holder.node, holder.name);
          const value = widget && nextValue(mode, valueOf(holder.node, widget), target.options, random);
          if (value !== undefined) e.within(holder.graph, () => set(holder.node, holder.name, value));
        }
      }
    }
  }
}
