/**
 * Node definitions: what the server says in /object_info, turned into sockets and widgets, plus the node types that
 * live only in the editor. The order of widgets is the order of the values in a file, so it follows the rules of
 * ComfyUI's files: one place a widget, one more for the control after a seed, one more for an upload button.
 */

import { isAny } from './types.js';
import { bindDynamic, dynamicInputs } from './dynamic.js';
import { subDef } from './host.js';

/** @typedef {import('./model.js').Node} Node */
/** @typedef {import('./model.js').Widget} Widget */
/** @typedef {import('./model.js').Workflow} Workflow */

/**
 * @typedef {object} InputDef
 * @property {string} name
 * @property {string} type
 * @property {boolean} required
 * @property {boolean} socket a plain socket, not a widget
 * @property {Record<string, any>} options
 */

/**
 * @typedef {object} NodeDef
 * @property {string} type
 * @property {string} title
 * @property {string} category
 * @property {string} description
 * @property {InputDef[]} inputs
 * @property {{name: string, type: string, list: boolean, tooltip?: string}[]} outputs
 * @property {Widget[]} widgets
 * @property {boolean} isOutput
 * @property {boolean} deprecated
 * @property {boolean} experimental
 * @property {boolean} virtual lives in the editor only: never sent with a prompt
 * @property {boolean} dynamic its ports depend on its values or links
 * @property {string[]} aliases
 * @property {string} module
 */

export const CONTROL = ['fixed', 'increment', 'decrement', 'randomize'];
const VALUE_TYPES = new Set(['INT', 'FLOAT', 'STRING', 'BOOLEAN', 'COMBO', 'COLOR']);
const UPLOADS = ['image_upload', 'video_upload', 'audio_upload', 'animated_image_upload'];

/** @type {Record<string, import('./model.js').Widget['kind']>} */
const KINDS = { INT: 'number', FLOAT: 'number', STRING: 'text', BOOLEAN: 'toggle', COMBO: 'combo', COLOR: 'color' };

/** @param {any} spec [type, options] as the server writes it @returns {{type: string, options: Record<string, any>}} */
export function readSpec(spec) {
  const [type, raw] = Array.isArray(spec) ? spec : [spec, undefined];
  const options = { ...(raw && typeof raw === 'object' ? raw : {}) };
  if (Array.isArray(type)) return { type: 'COMBO', options: { ...options, values: type } };
  if (type === 'COMBO') return { type, options: { ...options, values: options.options ?? [] } };
  return { type: String(type), options };
}

/** @param {string} name @param {any} spec @param {boolean} required @returns {InputDef} */
export function readInput(name, spec, required) {
  const { type, options } = readSpec(spec);
  const shown = options.widgetType ?? type;
  const socket = Boolean(options.forceInput || options.rawLink) || !VALUE_TYPES.has(shown);
  return { name, type, required, socket, options };
}

/** @param {InputDef} input @returns {boolean} whether a seed control follows it */
function controlled(input) {
  if (input.options.control_after_generate) return true;
  return input.type === 'INT' && (input.name === 'seed' || input.name === 'noise_seed') && input.options.control_after_generate !== false;
}

/** @param {string} type @param {Record<string, any>} options @returns {any} */
function defaultOf(type, options) {
  if (options.default !== undefined) return options.default;
  if (type === 'COMBO') return options.values?.[0] ?? '';
  if (type === 'INT' || type === 'FLOAT') return Math.max(0, options.min ?? 0);
  if (type === 'BOOLEAN') return false;
  return type === 'COLOR' ? '#ffffff' : '';
}

/** @param {InputDef} input @param {number} key @returns {Widget} */
export function widgetOf(input, key) {
  const raw = input.options;
  const type = raw.widgetType ?? input.type;
  /** @type {Record<string, any>} */ const options = { ...raw, default: defaultOf(type, raw) };
  if (type === 'INT') Object.assign(options, { step: raw.step ?? 1, precision: 0 });
  if (type === 'FLOAT') Object.assign(options, { step: raw.step ?? 0.1, precision: decimals(raw.round || raw.step || 0.01) });
  if (type === 'BOOLEAN') Object.assign(options, { on: raw.label_on ?? 'on', off: raw.label_off ?? 'off' });
  if (controlled(input)) options.seed = true;
  if (UPLOADS.some((flag) => raw[flag])) Object.assign(options, { image: Boolean(raw.image_upload || raw.animated_image_upload), video: Boolean(raw.video_upload), audio: Boolean(raw.audio_upload), upload: true });
  const label = raw.display_name ?? input.name;
  return { name: input.name, label, kind: KINDS[type] ?? 'custom', type: input.type, key, options, tooltip: raw.tooltip };
}

/** @param {number} step */
function decimals(step) {
  const text = String(step);
  return text.includes('e-') ? Number(text.split('e-')[1]) : (text.split('.')[1] ?? '').length;
}

/** @param {InputDef[]} inputs @returns {Widget[]} in the order of the values in a file */
export function widgetsOf(inputs) {
  /** @type {Widget[]} */ const widgets = [];
  /** @type {Partial<Widget>[]} */ let buttons = [];
  /** @param {any} widget */
  const add = (widget) => widgets.push({ options: {}, silent: true, ...widget, key: widgets.length });
  const flush = () => {
    buttons.forEach(add);
    buttons = [];
  };
  inputs.forEach((input, i) => {
    if (i > 0 && inputs[i - 1].required && !input.required) flush();
    if (input.socket) return;
    widgets.push(widgetOf(input, widgets.length));
    if (controlled(input)) add({ name: 'control_after_generate', label: 'after each run', kind: 'control', type: 'COMBO', options: { values: CONTROL, default: 'randomize', of: input.name } });
    if (input.options.audio_upload) buttons.push({ name: 'audioUI', label: '', kind: 'custom', type: 'AUDIO_UI', hidden: true, options: { default: '' } });
    if (UPLOADS.some((flag) => input.options[flag])) buttons.push({ name: 'upload', label: 'Choose a file', kind: 'upload', type: 'UPLOAD', options: { default: 'image', of: input.name } });
  });
  flush();
  return widgets;
}

/** @param {string} type @param {any} info one entry of /object_info @returns {NodeDef} */
export function readDef(type, info) {
  const groups = ['required', 'optional'];
  const order = info.input_order ?? {};
  /** @type {InputDef[]} */ const inputs = [];
  let dynamic = false;
  for (const group of groups) {
    const specs = info.input?.[group] ?? {};
    for (const name of order[group] ?? Object.keys(specs)) {
      if (!(name in specs)) continue;
      const input = readInput(name, specs[name], group === 'required');
      dynamic ||= dynamicInputs.has(input.type);
      inputs.push(input);
    }
  }
  const outputs = (info.output ?? []).map((/** @type {any} */ out, /** @type {number} */ i) => ({
    name: info.output_name?.[i] ?? (Array.isArray(out) ? 'COMBO' : out),
    type: Array.isArray(out) ? 'COMBO' : String(out),
    list: Boolean(info.output_is_list?.[i]),
    tooltip: info.output_tooltips?.[i],
  }));
  return {
    type, inputs, outputs, dynamic, title: info.display_name || type, category: info.category ?? '', description: info.description ?? '',
    widgets: dynamic ? [] : widgetsOf(inputs), isOutput: Boolean(info.output_node), deprecated: Boolean(info.deprecated),
    experimental: Boolean(info.experimental), virtual: false, aliases: info.search_aliases ?? [], module: info.python_module ?? '',
  };
}

/** @param {string} type @param {string} title @param {string} description @param {Partial<NodeDef>} more @returns {NodeDef} */
function editorDef(type, title, description, more) {
  return { type, title, description, category: 'editor', inputs: [], outputs: [], widgets: [], isOutput: false, deprecated: false, experimental: false, virtual: true, dynamic: false, aliases: [], module: 'editor', ...more };
}

/** @param {import('./model.js').Widget['kind']} kind @returns {Widget} */
function noteText(kind) {
  return { name: 'text', label: '', kind, type: 'STRING', key: 0, options: { default: '', multiline: true }, silent: true };
}

/** Node types that live only in the editor. */
export const EDITOR_DEFS = [
  editorDef('Reroute', 'Reroute', 'A bend in a wire.', { inputs: [{ name: '', type: '*', required: false, socket: true, options: {} }], outputs: [{ name: '', type: '*', list: false }] }),
  editorDef('PrimitiveNode', 'Primitive', 'One value for several widgets: connect it to a widget and it takes its shape.', { outputs: [{ name: 'connect to widget input', type: '*', list: false }], dynamic: true }),
  editorDef('Note', 'Note', 'Plain text on the canvas.', { widgets: [noteText('text')], aliases: ['comment'] }),
  editorDef('MarkdownNote', 'Markdown note', 'Formatted text on the canvas.', { widgets: [noteText('markdown')], aliases: ['comment'] }),
];

export class Defs {
  constructor() {
    /** @type {Map<string, NodeDef>} */ this.types = new Map();
    this.load({});
  }

  /** @param {Record<string, any>} info the server's /object_info */
  load(info) {
    this.types = new Map(EDITOR_DEFS.map((def) => [def.type, def]));
    for (const [type, entry] of Object.entries(info)) this.types.set(type, readDef(type, entry));
  }

  /** @param {string} type @param {Workflow} [flow] @returns {NodeDef|null} */
  get(type, flow) {
    const sub = flow?.subs.get(type);
    return sub ? subDef(sub) : (this.types.get(type) ?? null);
  }

  /** Gives a node its definition and widgets. @param {Node} node @param {Workflow} flow */
  bind(node, flow) {
    node.def = this.get(node.type, flow);
    if (!node.def) node.widgets = [];
    else if (node.def.dynamic) node.widgets = bindDynamic(node, node.def, flow);
    else node.widgets = aligned(node.def.widgets, node.values);
  }
}

/**
 * The widgets of a node, their places corrected when a file has no place for a seed's control.
 * @param {Widget[]} widgets @param {any} values @returns {Widget[]}
 */
export function aligned(widgets, values) {
  if (!Array.isArray(values)) return widgets;
  const controls = widgets.filter((widget) => widget.kind === 'control');
  const words = new Set([...CONTROL, 'increment-wrap', true, false]);
  if (!controls.some((widget) => Number(widget.key) < values.length && !words.has(values[/** @type {number} */ (widget.key)]))) return widgets;
  let key = 0;
  return widgets.filter((widget) => widget.kind !== 'control').map((widget) => ({ ...widget, key: key++ }));
}

/** The type shown for an input that takes anything. @param {InputDef} input */
export function isOpen(input) {
  return isAny(input.type);
}
