/** Draws one node at the level of detail of the frame. */

import { BYPASSED, MUTED, valueOf } from '../graph/model.js';
import { collapsedWidth, geometry, SLOT, TITLE, WIDGET } from '../graph/shape.js';
import { drawWidget, takesLink } from '../widget/kinds.js';
import { MID, NEAR } from './detail.js';
import { round, socket } from './glyph.js';
import { tint } from './tint.js';
import { typeLook } from './theme.js';

/** @typedef {import('./look.js').Look} Look */
/** @typedef {import('../graph/model.js').Node} Node */
/** @typedef {import('../graph/model.js').Slot} Slot */

/**
 * What the drawing of a node depends on besides the node.
 * @typedef {object} Scene
 * @property {(node: Node) => boolean} chosen
 * @property {((node: Node, side: 'in' | 'out', slot: {type: string}) => boolean) | null} usable while wiring: may the wire end here
 * @property {(look: Look, node: Node, top: number) => void} media
 */

const RADIUS = 8;

/** @param {Look} look @param {Node} node @param {Scene} scene */
export function drawNode(look, node, scene) {
  look.counters.visited++;
  const { pen } = look;
  const faded = node.mode === MUTED || node.mode === BYPASSED;
  if (faded) {
    clear(look, node);
    pen.globalAlpha = node.mode === MUTED ? 0.5 : 0.75;
  }
  if (look.lod === NEAR) drawNear(look, node, scene);
  else drawMid(look, node, scene);
  if (!faded) return;
  pen.globalAlpha = 1;
  if (look.lod === NEAR) drawDotsOf(look, node); // wires end at them: they stay whole
}

/** An empty ground under a faded node, so that wires behind it do not run through its text. @param {Look} look @param {Node} node */
function clear({ pen, theme, lod }, node) {
  const shape = geometry(node);
  const folded = Boolean(node.flags.collapsed);
  const [x, y] = node.pos;
  pen.fillStyle = theme.canvas;
  round(pen, x, y - TITLE, folded ? collapsedWidth(node) : shape.width, TITLE + (folded ? 0 : shape.height), lod === NEAR ? RADIUS : 0);
  pen.fill();
}

/** Head and body colours of a node. @param {Look} look @param {Node} node */
export function coloursOf(look, node) {
  const { theme } = look;
  if (node.mode === BYPASSED) {
    const t = tint(theme, '#8a4fd0');
    return { head: t.head, body: t.body, edge: theme.bypass };
  }
  if (!node.def) return { head: tint(theme, '#a03535').head, body: tint(theme, '#a03535').body, edge: theme.bad };
  const own = node.color || node.bgcolor;
  if (!own) return { head: theme.title, body: theme.node, edge: theme.edge };
  const t = tint(theme, own);
  return { head: t.head, body: node.bgcolor ? tint(theme, node.bgcolor).body : theme.node, edge: t.line };
}

/** @param {Look} look @param {Node} node @param {Scene} scene */
function drawMid(look, node, scene) {
  const { pen, theme, scale } = look;
  const [x, y] = node.pos;
  const shape = geometry(node);
  const colours = coloursOf(look, node);
  const folded = Boolean(node.flags.collapsed);
  const width = folded ? collapsedWidth(node) : shape.width;
  pen.fillStyle = colours.head;
  pen.fillRect(x, y - TITLE, width, TITLE);
  if (colours.head === theme.title && !theme.forced && node.outputs[0]) {
    // No title can be read here: its bar has the colour of what the node gives, as from farther away the whole node.
    const alpha = pen.globalAlpha;
    pen.globalAlpha = alpha * 0.34;
    pen.fillStyle = typeLook(theme, node.outputs[0].type).hue;
    pen.fillRect(x, y - TITLE, width, TITLE);
    pen.globalAlpha = alpha;
  }
  if (!folded) {
    pen.fillStyle = colours.body;
    pen.fillRect(x, y, width, shape.height);
    pen.fillStyle = theme.field;
    node.widgets.forEach((widget, i) => {
      if (shape.rows[i * 2 + 1] > 0) pen.fillRect(x + 10, y + shape.rows[i * 2], width - 20, shape.rows[i * 2 + 1]);
    });
    if (look.lod === MID) midSockets(look, node);
    scene.media(look, node, shape.end);
  }
  const chosen = scene.chosen(node);
  pen.strokeStyle = chosen ? theme.accent : colours.edge;
  pen.lineWidth = (chosen ? 2.5 : 1) / scale;
  pen.strokeRect(x, y - TITLE, width, folded ? TITLE : TITLE + shape.height);
}

/** @param {Look} look @param {Node} node */
function midSockets(look, node) {
  const { pen, theme } = look;
  const [x, y] = node.pos;
  const shape = geometry(node);
  node.inputs.forEach((slot, i) => {
    if (shape.inputs[i] < 0) return;
    pen.fillStyle = typeLook(theme, slot.type).hue;
    pen.fillRect(x - 4, y + (shape.inputs[i] + 0.7) * SLOT - 4, 8, 8);
  });
  node.outputs.forEach((slot, i) => {
    pen.fillStyle = typeLook(theme, slot.type).hue;
    pen.fillRect(x + shape.width - 4, y + (i + 0.7) * SLOT - 4, 8, 8);
  });
}

/** @param {Look} look @param {Node} node @param {Scene} scene */
function drawNear(look, node, scene) {
  const { pen, theme } = look;
  const [x, y] = node.pos;
  const shape = geometry(node);
  const colours = coloursOf(look, node);
  const folded = Boolean(node.flags.collapsed);
  const width = folded ? collapsedWidth(node) : shape.width;
  const height = folded ? 0 : shape.height;
  round(pen, x, y - TITLE, width, TITLE + height, RADIUS);
  pen.fillStyle = colours.body;
  pen.fill();
  round(pen, x, y - TITLE, width, TITLE, folded ? RADIUS : [RADIUS, RADIUS, 0, 0]);
  pen.fillStyle = colours.head;
  pen.fill();
  if (!folded) {
    widgets(look, node, scene);
    scene.media(look, node, shape.end);
  }
  frame(look, node, scene.chosen(node), colours.edge, width, height);
  drawTitle(look, node, width);
  if (folded) foldedSockets(look, node, scene, width);
  else sockets(look, node, scene);
}

/** @param {Look} look @param {Node} node @param {boolean} chosen @param {string} edge @param {number} width @param {number} height */
function frame(look, node, chosen, edge, width, height) {
  const { pen, theme } = look;
  const [x, y] = node.pos;
  if (chosen) {
    const alpha = pen.globalAlpha;
    pen.globalAlpha = alpha * 0.25;
    pen.strokeStyle = theme.accent;
    pen.lineWidth = 6;
    round(pen, x - 1, y - TITLE - 1, width + 2, TITLE + height + 2, RADIUS + 1);
    pen.stroke();
    pen.globalAlpha = alpha;
  }
  pen.strokeStyle = chosen ? theme.accent : edge;
  pen.lineWidth = chosen ? 1.6 : 1;
  round(pen, x, y - TITLE, width, TITLE + height, RADIUS);
  pen.stroke();
}

/** @param {Look} look @param {Node} node @param {number} width */
function drawTitle(look, node, width) {
  const { pen, theme } = look;
  const [x, y] = node.pos;
  const middle = y - TITLE / 2;
  pen.beginPath();
  if (node.flags.collapsed) {
    pen.moveTo(x + 12, middle - 4);
    pen.lineTo(x + 17, middle);
    pen.lineTo(x + 12, middle + 4);
  } else {
    pen.moveTo(x + 10, middle - 2.5);
    pen.lineTo(x + 14.5, middle + 2.5);
    pen.lineTo(x + 19, middle - 2.5);
  }
  pen.strokeStyle = theme.faint;
  pen.lineWidth = 1.6;
  pen.stroke();
  let right = x + width - 10;
  for (const mark of marksOf(node).map((key) => look.t(key))) {
    look.text(mark, right, middle + 0.5, 'small', theme.faint, 80, 'right');
    right -= 8 + 6 * mark.length;
  }
  look.text(node.label, x + 27, middle + 0.5, 'title', theme.text, Math.max(12, right - x - 31));
}

/** Words at the right of the title. @param {Node} node */
function marksOf(node) {
  const marks = [];
  if (node.flags.pinned) marks.push('mark.pinned');
  if (node.mode === MUTED) marks.push('mark.muted');
  if (node.mode === BYPASSED) marks.push('mark.bypassed');
  if (!node.def) marks.push('mark.missing');
  return marks;
}

/** The sockets again, over what the overlay draws at a node's edge. @param {Look} look @param {Node} node */
export function drawDotsOf(look, node) {
  if (node.flags.collapsed) return;
  const [x, y] = node.pos;
  const shape = geometry(node);
  node.inputs.forEach((slot, i) => {
    const row = shape.inputs[i], linked = slot.link !== null && slot.link !== undefined;
    if (row >= 0) dot(look, x, y + (row + 0.7) * SLOT, slot.type, linked, true);
    else if (linked) dot(look, x, y + shape.rows[(-1 - row) * 2] + (WIDGET - 4) / 2, slot.type, true, true);
  });
  node.outputs.forEach((slot, i) => dot(look, x + shape.width, y + (i + 0.7) * SLOT, slot.type, Boolean(slot.links?.length), true));
}

/** @param {Look} look @param {Node} node @param {Scene} scene */
function sockets(look, node, scene) {
  const { theme } = look;
  const [x, y] = node.pos;
  const shape = geometry(node);
  const half = node.outputs.length ? shape.width * 0.58 : shape.width - 16;
  node.inputs.forEach((slot, i) => {
    const row = shape.inputs[i];
    if (row < 0) return widgetSocket(look, node, slot, y + shape.rows[(-1 - row) * 2] + (WIDGET - 4) / 2, scene);
    const at = y + (row + 0.7) * SLOT;
    const linked = slot.link !== null && slot.link !== undefined;
    dot(look, x, at, slot.type, linked, !scene.usable || scene.usable(node, 'in', slot));
    look.text(slot.label || slot.name, x + 12, at, 'label', linked ? theme.text : theme.dim, half - 14);
  });
  node.outputs.forEach((slot, i) => {
    const at = y + (i + 0.7) * SLOT;
    const linked = Boolean(slot.links?.length);
    dot(look, x + shape.width, at, slot.type, linked, !scene.usable || scene.usable(node, 'out', slot));
    look.text(slot.label || slot.name, x + shape.width - 12, at, 'label', linked ? theme.text : theme.dim, shape.width - (node.inputs.length ? half * 0.6 : 0) - 24, 'right');
  });
}

/** @param {Look} look @param {Node} node @param {Slot} slot @param {number} at @param {Scene} scene */
function widgetSocket(look, node, slot, at, scene) {
  const linked = slot.link !== null && slot.link !== undefined;
  const fits = Boolean(scene.usable?.(node, 'in', slot));
  if (linked || fits) dot(look, node.pos[0], at, slot.type, linked, linked ? !scene.usable || fits : true);
}

/** Sockets without a slot in the file show while a wire could end there. @param {Look} look @param {Node} node @param {Scene} scene */
function spareSockets(look, node, scene) {
  if (!scene.usable) return;
  const shape = geometry(node);
  node.widgets.forEach((widget, i) => {
    if (widget.hidden || !takesLink(widget) || node.inputs.some((slot) => slot.widget?.name === widget.name)) return;
    if (!scene.usable?.(node, 'in', widget)) return;
    dot(look, node.pos[0], node.pos[1] + shape.rows[i * 2] + (WIDGET - 4) / 2, widget.type, false, true);
  });
}

/** @param {Look} look @param {number} x @param {number} y @param {string} type @param {boolean} linked @param {boolean} usable */
export function dot(look, x, y, type, linked, usable) {
  const { pen, theme } = look;
  const { hue, shape } = typeLook(theme, type);
  const alpha = pen.globalAlpha;
  if (!usable) pen.globalAlpha = alpha * 0.22;
  pen.beginPath();
  socket(pen, shape, x, y, 5);
  pen.lineWidth = 3;
  pen.strokeStyle = theme.canvas;
  pen.stroke();
  pen.fillStyle = linked || shape === 'ring' ? hue : theme.node;
  pen.fill();
  pen.lineWidth = 1.5;
  pen.strokeStyle = hue;
  pen.stroke();
  if (!usable) pen.globalAlpha = alpha;
}

/** @param {Look} look @param {Node} node @param {Scene} scene @param {number} width */
function foldedSockets(look, node, scene, width) {
  const [x, y] = node.pos;
  const middle = y - TITLE / 2;
  const linkedIn = node.inputs.find((slot) => slot.link !== null && slot.link !== undefined);
  const first = linkedIn ?? node.inputs[0];
  if (first) dot(look, x, middle, first.type, Boolean(linkedIn), true);
  const out = node.outputs.find((slot) => slot.links?.length) ?? node.outputs[0];
  if (out) dot(look, x + width, middle, out.type, Boolean(out.links?.length), true);
}

/** @param {Look} look @param {Node} node @param {Scene} scene */
function widgets(look, node, scene) {
  const shape = geometry(node);
  const [x, y] = node.pos;
  node.widgets.forEach((widget, i) => {
    const h = shape.rows[i * 2 + 1];
    if (!h) return;
    const slot = node.inputs.find((s) => s.widget?.name === widget.name);
    const linked = slot?.link !== null && slot?.link !== undefined;
    const box = { x: x + 10, y: y + shape.rows[i * 2], w: shape.width - 20, h };
    drawWidget({ look, node, widget, box, linked, value: valueOf(node, widget) });
  });
  spareSockets(look, node, scene);
}
