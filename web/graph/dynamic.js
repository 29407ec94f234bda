/**
 * Nodes whose widgets depend on what they are: instances of subgraphs, primitives, and V3 nodes with a choice that
 * brings its own inputs or with a list of inputs that grows.
 */

import { CONTROL, readInput, widgetsOf } from './defs.js';
import { hostWidgets } from './host.js';

/** @typedef {import('./model.js').Node} Node */
/** @typedef {import('./model.js').Widget} Widget */
/** @typedef {import('./defs.js').NodeDef} NodeDef */
/** @typedef {import('./defs.js').InputDef} InputDef */

export const CHOICE = 'COMFY_DYNAMICCOMBO_V3';
export const GROWING = 'COMFY_AUTOGROW_V3';
export const dynamicInputs = new Set([CHOICE, GROWING]);

/** @param {Node} node @param {NodeDef} def @param {import('./model.js').Workflow} flow @returns {Widget[]} */
export function bindDynamic(node, def, flow) {
  const sub = flow.subs.get(node.type);
  if (sub) return hostWidgets(node, sub);
  if (node.type === 'PrimitiveNode') return primitiveWidgets(node, flow);
  return widgetsOf(openInputs(def.inputs, node));
}

/**
 * The inputs of a node as its values have them: a choice is followed by the inputs of the chosen option.
 * @param {InputDef[]} inputs @param {Node} [node] @param {{taken: number}} [place] @returns {InputDef[]}
 */
export function openInputs(inputs, node, place = { taken: 0 }) {
  /** @type {InputDef[]} */ const open = [];
  for (const input of inputs) {
    if (input.type === CHOICE) open.push(...openChoice(input, node, place));
    else if (input.type === GROWING) open.push(...openGrowing(input, node));
    else {
      if (!input.socket) place.taken += widgetsOf([input]).length;
      open.push(input);
    }
  }
  return open;
}

/** @param {InputDef} input @param {Node|undefined} node @param {{taken: number}} place @returns {InputDef[]} */
function openChoice(input, node, place) {
  const options = input.options.options ?? [];
  const keys = options.map((/** @type {any} */ option) => option.key);
  const values = /** @type {any} */ (node?.values);
  const stored = Array.isArray(values) ? values[place.taken] : values?.[input.name];
  const chosen = options.find((/** @type {any} */ option) => option.key === stored) ?? options[0];
  place.taken += 1;
  const choice = { ...input, type: 'COMBO', socket: false, options: { ...input.options, values: keys, default: keys[0], choice: true } };
  return [choice, ...openInputs(nested(chosen?.inputs, input.name), node, place)];
}

/** @param {any} groups {required, optional} @param {string} prefix @returns {InputDef[]} */
function nested(groups, prefix) {
  return ['required', 'optional'].flatMap((group) =>
    Object.entries(groups?.[group] ?? {}).map(([name, spec]) => {
      const input = readInput(`${prefix}.${name}`, spec, group === 'required');
      return { ...input, options: { display_name: name, ...input.options } };
    }),
  );
}

/** One free socket more than are linked, between min and max. @param {InputDef} input @param {Node|undefined} node @returns {InputDef[]} */
function openGrowing(input, node) {
  const template = input.options.template ?? {};
  const [inner] = nested(template.input, '');
  const names = growingNames(template);
  const used = (node?.inputs ?? []).filter((slot) => slot.name.startsWith(`${input.name}.`) && slot.link !== null).map((slot) => names.indexOf(slot.name.slice(input.name.length + 1)));
  const count = Math.min(names.length, Math.max(template.min ?? 1, Math.max(-1, ...used) + 2));
  return names.slice(0, count).map((name, i) => ({ ...inner, name: `${input.name}.${name}`, socket: true, required: i < (template.min ?? 1), options: { ...inner?.options, display_name: name } }));
}

/** @param {any} template @returns {string[]} */
function growingNames(template) {
  if (template.names) return template.names;
  return Array.from({ length: template.max ?? 16 }, (_, i) => `${template.prefix ?? ''}${i}`);
}

/** A primitive looks like the widget it feeds. @param {Node} node @param {import('./model.js').Workflow} flow @returns {Widget[]} */
function primitiveWidgets(node, flow) {
  const target = primitiveTarget(node, flow);
  if (!target) return [];
  /** @type {Widget} */ const value = { ...target, name: 'value', label: target.label, key: 0, source: undefined, silent: true, options: { ...target.options, seed: target.kind === 'number' } };
  if (value.kind !== 'number' && value.kind !== 'combo') return [value];
  return [value, { name: 'control_after_generate', label: 'after each run', kind: 'control', type: 'COMBO', key: 1, silent: true, options: { values: CONTROL, default: 'fixed', of: 'value' } }];
}

/** The widget a primitive feeds first. @param {Node} node @param {import('./model.js').Workflow} flow @returns {Widget|undefined} */
export function primitiveTarget(node, flow) {
  const graph = flow.graphs().find((one) => one.nodes.get(node.id) === node);
  for (const id of node.outputs[0]?.links ?? []) {
    const link = graph?.links.get(id);
    const target = link && graph?.node(link.to);
    const name = target?.inputs[link?.toSlot ?? -1]?.widget?.name;
    const widget = target?.widgets.find((one) => one.name === name);
    if (widget) return widget;
  }
  return undefined;
}
