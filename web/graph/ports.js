/** The ports of nodes that are new, or whose ports change as they are used. */

import { GROWING, dynamicInputs, openInputs } from './dynamic.js';
import { Node } from './model.js';
import { widgetsOf } from './defs.js';

/** @typedef {import('./record.js').Edit} Edit */
/** @typedef {import('./defs.js').NodeDef} NodeDef */

/** Shapes files use to mark a socket. */
const OPTIONAL = 7;
const LIST = 6;

/** @param {import('./defs.js').InputDef} input */
function inputSlot(input) {
  const label = input.options.display_name;
  return { name: input.name, type: input.type, link: null, ...(label ? { label } : {}), ...(input.required ? {} : { shape: OPTIONAL }) };
}

/** Slots and widgets of a new node of a type. @param {NodeDef} def @param {import('./model.js').Workflow} flow */
export function addableSlots(def, flow) {
  const sub = flow.subs.get(def.type);
  const outputs = def.outputs.map((out) => ({ name: out.name, type: out.type, links: [], ...(out.list ? { shape: LIST } : {}) }));
  if (sub) {
    const blank = new Node(0, def.type);
    flow.defs.bind(blank, flow);
    const own = new Set(blank.widgets.map((widget) => widget.name));
    const inputs = sub.inputs.map((slot) => ({ name: slot.name, type: slot.type, link: null, ...(slot.label ? { label: slot.label } : {}), ...(own.has(slot.name) ? { widget: { name: slot.name } } : {}) }));
    return { inputs, outputs, widgets: blank.widgets };
  }
  const open = def.dynamic ? openInputs(def.inputs) : def.inputs;
  const widgets = def.dynamic ? widgetsOf(open) : def.widgets;
  return { inputs: open.filter((input) => input.socket).map(inputSlot), outputs, widgets };
}

/** Adds and removes sockets so that a node with a choice or a growing list has those its state asks for. @param {Edit} e @param {import('./model.js').Node} node */
export function syncPorts(e, node) {
  if (!node.def?.inputs.some((input) => dynamicInputs.has(input.type))) return;
  e.flow.bind(node, e.graph);
  const wanted = openInputs(node.def.inputs, node).filter((input) => input.socket);
  const prefixes = node.def.inputs.filter((input) => dynamicInputs.has(input.type)).map((input) => `${input.name}.`);
  for (let i = node.inputs.length - 1; i >= 0; i--) {
    const slot = node.inputs[i];
    const ours = prefixes.some((prefix) => slot.name.startsWith(prefix));
    const gone = slot.widget ? !node.widgets.some((widget) => widget.name === slot.widget?.name) : !wanted.some((input) => input.name === slot.name);
    if (ours && gone && (slot.link === null || slot.link === undefined)) e.change({ op: 'slot-', id: node.id, side: 'in', index: i });
  }
  for (const input of wanted) {
    if (node.inputs.some((slot) => slot.name === input.name)) continue;
    e.change({ op: 'slot+', id: node.id, side: 'in', index: placeFor(node, input.name, wanted), slot: inputSlot(input) });
  }
}

/** @param {import('./model.js').Node} node @param {string} name @param {import('./defs.js').InputDef[]} wanted */
function placeFor(node, name, wanted) {
  const before = wanted.slice(0, wanted.findIndex((input) => input.name === name)).map((input) => input.name);
  const last = node.inputs.findLastIndex((slot) => before.includes(slot.name));
  return last < 0 && before.length ? node.inputs.length : last + 1;
}

/** Whether a type has a list of inputs that grows. @param {NodeDef} def */
export function grows(def) {
  return def.inputs.some((input) => input.type === GROWING);
}
