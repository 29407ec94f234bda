/**
 * Where the parts of a node are, in graph units: pure functions of the model. The measures are those saved files were
 * laid out with, so a workflow from elsewhere keeps its looks. A node's geometry is worked out when its box is
 * (`boxOf`, which `graph.touch` calls after every change of the node) and kept until then.
 */

/** @typedef {import('./model.js').Node} Node */
/** @typedef {import('./model.js').Widget} Widget */

export const TITLE = 30;
export const SLOT = 20;
export const WIDGET = 24;
export const COLLAPSED = 80;
/** Least height of a multi-line text. */
export const TEXT = 60;
const MARGIN = 6;

/**
 * @typedef {object} Geometry
 * @property {number} width
 * @property {number} height of the body
 * @property {Float64Array} rows top and height of each widget from the top of the body
 * @property {Int16Array} inputs for each input its row (0, 1, ...), or -1 - index of its widget
 * @property {number} end where the last row ends: what is below is free for pictures
 */

/** @type {WeakMap<Node, Geometry>} */
const known = new WeakMap();

/** @param {Node} node @returns {Geometry} */
export function geometry(node) {
  return known.get(node) ?? measure(node);
}

/** @param {Node} node @returns {Geometry} */
function measure(node) {
  const inputs = inputRows(node);
  const [least, lowest] = minSize(node);
  const width = Math.max(node.size[0], least), height = Math.max(node.size[1], lowest);
  const rows = new Float64Array(node.widgets.length * 2);
  const spare = tallCount(node) ? (height - lowest) / tallCount(node) : 0;
  let y = widgetTop(node);
  node.widgets.forEach((widget, i) => {
    const h = widget.hidden ? 0 : isTall(widget) ? TEXT + spare : WIDGET - 4;
    rows[i * 2] = y;
    rows[i * 2 + 1] = h;
    if (!widget.hidden) y += h + 4;
  });
  const found = { width, height, rows, inputs, end: y };
  known.set(node, found);
  return found;
}

/** @param {Node} node @returns {Int16Array} */
function inputRows(node) {
  const at = new Int16Array(node.inputs.length);
  let row = 0;
  node.inputs.forEach((slot, i) => {
    const name = slot.widget?.name;
    const widget = name === undefined ? -1 : node.widgets.findIndex((w) => w.name === name);
    at[i] = widget < 0 ? row++ : -1 - widget;
  });
  return at;
}

/** Inputs that have a row of their own, i.e. are not the socket of a widget. @param {Node} node */
export function plainInputs(node) {
  if (!node.widgets.length) return node.inputs;
  const names = new Set(node.widgets.map((widget) => widget.name));
  return node.inputs.filter((slot) => !slot.widget || !names.has(slot.widget.name));
}

/** Box of a node with its title: x0, y0, x1, y1. @param {Node} node @returns {[number, number, number, number]} */
export function boxOf(node) {
  const [x, y] = node.pos;
  const { width, height } = measure(node);
  if (node.flags.collapsed) return [x, y - TITLE, x + collapsedWidth(node), y];
  return [x, y - TITLE, x + width, y + height];
}

/** @param {Node} node */
export function collapsedWidth(node) {
  return Math.min(Math.max(node.size[0], COLLAPSED), Math.max(COLLAPSED, 50 + 8.8 * node.label.length));
}

/** Rows of sockets above the widgets. @param {Node} node */
export function slotRows(node) {
  return Math.max(plainInputs(node).length, node.outputs.length);
}

/** @param {Widget} widget */
export function isTall(widget) {
  return (widget.kind === 'text' && Boolean(widget.options.multiline)) || widget.kind === 'markdown' || widget.kind === 'custom';
}

/** @param {Node} node */
function tallCount(node) {
  let n = 0;
  for (const widget of node.widgets) if (!widget.hidden && isTall(widget)) n++;
  return n;
}

/** Where the widgets begin, from the top of the body. @param {Node} node */
export function widgetTop(node) {
  const rows = slotRows(node);
  return rows ? MARGIN + rows * SLOT : MARGIN;
}

/** The least size that shows everything. @param {Node} node @returns {[number, number]} */
export function minSize(node) {
  let height = widgetTop(node);
  for (const widget of node.widgets) if (!widget.hidden) height += isTall(widget) ? TEXT + 4 : WIDGET;
  return [140, Math.max(30, height + MARGIN)];
}

/** The size of a new node. @param {Node} node @returns {[number, number]} */
export function freshSize(node) {
  const [, height] = minSize(node);
  const tall = node.widgets.some((widget) => !widget.hidden && isTall(widget));
  const shows = node.def?.isOutput || node.widgets.some((widget) => widget.options.image);
  const longest = Math.max(0, ...node.widgets.map((widget) => widget.label.length));
  const width = tall ? 400 : Math.min(340, Math.max(225, 130 + longest * 7));
  return [width, height + (tall ? 90 : 0) + (shows ? 220 : 0)];
}

/** Top and height of each widget from the top of the body, two numbers a widget. @param {Node} node @returns {Float64Array} */
export function widgetRows(node) {
  return geometry(node).rows;
}

/** @param {Node} node @param {string} name of a widget @returns {[number, number]} */
export function widgetSocketPos(node, name) {
  const i = node.widgets.findIndex((widget) => widget.name === name);
  if (node.flags.collapsed || i < 0) return [node.pos[0], node.pos[1] - TITLE / 2];
  return [node.pos[0], node.pos[1] + widgetMiddle(geometry(node), i)];
}

/** @param {Geometry} shape @param {number} widget */
function widgetMiddle(shape, widget) {
  return shape.rows[widget * 2] + Math.min(shape.rows[widget * 2 + 1], WIDGET - 4) / 2;
}

/** Writes the centre of a socket to `out[at]`, `out[at + 1]`. @param {Node} node @param {'in'|'out'} side @param {number} index @param {Float32Array|number[]} out @param {number} at */
export function slotAt(node, side, index, out, at) {
  const x = node.pos[0], y = node.pos[1];
  if (node.flags.collapsed) {
    out[at] = side === 'in' ? x : x + collapsedWidth(node);
    out[at + 1] = y - TITLE / 2;
    return;
  }
  const shape = geometry(node);
  const row = side === 'in' ? shape.inputs[index] ?? index : index;
  out[at] = side === 'in' ? x : x + shape.width;
  out[at + 1] = y + (row < 0 ? widgetMiddle(shape, -1 - row) : (row + 0.7) * SLOT);
}

/** Centre of a socket. @param {Node} node @param {'in'|'out'} side @param {number} index @returns {[number, number]} */
export function slotPos(node, side, index) {
  /** @type {[number, number]} */ const out = [0, 0];
  slotAt(node, side, index, out, 0);
  return out;
}

/** Centre of a port of a subgraph's column. @param {import('./model.js').Graph} graph @param {'in'|'out'} side @param {number} index @returns {[number, number]} */
export function ioPos(graph, side, index) {
  const box = side === 'in' ? graph.inputBox : graph.outputBox;
  const y = box[1] + TITLE + (index + 0.7) * SLOT;
  return side === 'in' ? [box[0] + box[2], y] : [box[0], y];
}

/** How tall a column of ports is; there is room for one more port. @param {import('./model.js').Graph} graph @param {'in'|'out'} side */
export function columnHeight(graph, side) {
  const [box, ports] = side === 'in' ? [graph.inputBox, graph.inputs] : [graph.outputBox, graph.outputs];
  return Math.max(box[3], TITLE + (ports.length + 1) * SLOT + 8);
}
