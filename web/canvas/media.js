/** Pictures and texts that nodes show: results, the file a loader will read, and live previews while a node runs. */

import { geometry } from '../graph/shape.js';
import { valueOf } from '../graph/model.js';
import { FAR } from './detail.js';
import { kindOf, mediaOf } from '../ui/media.js';
import { round } from './glyph.js';
import { FONTS } from './theme.js';

/** @typedef {import('../graph/model.js').Node} Node */
/** @typedef {import('./camera.js').Rect} Rect */
/** @typedef {import('./look.js').Look} Look */
/** @typedef {{items: Item[], text: string, files: import('../ui/media.js').FileRef[]}} Shown files: what else a node wrote, pages and tables, say */
/** @typedef {{url: string, name: string, full: string, kind: 'image' | 'video' | 'audio', file: import('../ui/media.js').FileRef}} Item */

const ROOM = 56; // a body with less room below its widgets shows pictures in a tray under the node
const TRAY = 240;
const LINE = 15; // of a text under pictures
const ROW = 24; // of files to open

export class Media {
  /** @param {import('./stage.js').Stage} stage */
  constructor(stage) {
    this.stage = stage;
    /** @type {Map<import('../graph/model.js').NodeId, Shown>} */
    this.known = new Map();
    /** @type {Map<import('../graph/model.js').NodeId, string>} bitmap key of the live preview */
    this.live = new Map();
    /** nodes that show pictures below their body @type {Set<Node>} */
    this.trays = new Set();
  }

  /** Forgets what a node shows, so that it is asked for anew. @param {import('../graph/model.js').NodeId | null} id null = all */
  forget(id) {
    if (id === null) this.known.clear();
    else this.known.delete(id);
  }

  /** @param {Node} node */
  of(node) {
    let found = this.known.get(node.id);
    if (!found) this.known.set(node.id, (found = this.find(node)));
    return found;
  }

  /** @param {Node} node @returns {Shown} */
  find(node) {
    const { app, doc } = this.stage;
    const output = doc.run?.output(doc.key(node.id));
    const items = mediaOf({ node: output }).map(({ file }) => this.item(file));
    if (!items.length) {
      const combo = node.widgets.find((widget) => widget.kind === 'combo' && widget.options.image);
      const value = combo && valueOf(node, combo);
      if (typeof value === 'string' && value && !app.api?.offline) items.push(this.item(inputFile(value, combo?.options.folder)));
    }
    const words = output?.text;
    return { items, files: output?.files ?? [], text: Array.isArray(words) ? words.join('\n') : typeof words === 'string' ? words : '' };
  }

  /** @param {{filename: string, subfolder?: string, type?: string}} file @returns {Item} */
  item(file) {
    const { api } = this.stage.app;
    return { url: api.viewUrl(file, { preview: 'webp;85' }), full: api.viewUrl(file), name: file.filename, kind: kindOf(file.filename), file };
  }

  /** Where a node shows its pictures, or null when it has none. @param {Node} node @returns {Rect | null} */
  box(node) {
    this.trays.delete(node);
    if (node.flags.collapsed || node.at < 0) return null;
    if (!this.live.has(node.id)) {
      const { items, text } = this.of(node);
      if (!items.length && !text) return null;
    }
    const shape = geometry(node);
    const [x, y] = node.pos;
    const room = shape.height - shape.end - 6;
    if (room >= ROOM) return { x: x + 8, y: y + shape.end + 2, w: shape.width - 16, h: room };
    this.trays.add(node);
    return { x, y: y + shape.height + 6, w: shape.width, h: Math.min(TRAY, shape.width) };
  }

  /** @param {Look} look @param {Node} node */
  draw(look, node) {
    if (look.lod === FAR || this.live.has(node.id)) return;
    const box = this.box(node);
    if (!box) return;
    const { items, text, files } = this.of(node);
    if (text && !items.length) {
      if (look.lod === 2) look.paragraph(text, { x: box.x + 4, y: box.y + 2, w: box.w - 8, h: box.h - 4 }, 'text', look.theme.dim);
      return;
    }
    const { words, rows } = this.parts(node, box);
    if (look.lod === 2) {
      if (words.h) look.paragraph(text, words, 'small', look.theme.dim, LINE);
      files.forEach((file, i) => this.drawFile(look, file.filename, rows[i]));
    }
    const cells = this.cells(node, box);
    items.slice(0, cells.length).forEach((item, i) => this.drawItem(look, item, cells[i]));
  }

  /** How pictures, the words under them and the files to open share a box. @param {Node} node @param {Rect} box */
  parts(node, box) {
    const { items, text, files } = this.of(node);
    const { x, y, w } = box;
    if (!items.length) return { pictures: box, words: { x, y, w, h: 0 }, rows: [] };
    const lines = text ? this.stage.texts.wrap(text, FONTS.small, w - 8, Math.floor((box.h * 0.4) / LINE)).length : 0;
    const h = Math.max(box.h / 3, box.h - (files.length ? ROW : 0) - lines * LINE);
    return {
      pictures: { x, y, w, h },
      words: { x: x + 4, y: y + h, w: w - 8, h: lines * LINE },
      rows: files.map((_, i) => ({ x: x + (i * w) / files.length + 1, y: y + h + lines * LINE + 2, w: w / files.length - 2, h: ROW - 3 })),
    };
  }

  /** A cell for each picture, in as many columns as suits their shape. @param {Node} node @param {Rect} box */
  cells(node, box) {
    const { items } = this.of(node);
    const first = this.stage.pictures.held.get(items[0]?.url);
    return grid(this.parts(node, box).pictures, items.length, first && first.width / first.height);
  }

  /** @param {Look} look @param {string} name @param {Rect} row */
  drawFile(look, name, row) {
    const { pen, theme } = look;
    round(pen, row.x, row.y, row.w, row.h, 4);
    pen.fillStyle = theme.field;
    pen.fill();
    look.text(name, row.x + 8, row.y + row.h / 2, 'small', theme.accent, row.w - 16);
  }

  /** The file whose name is under a point. @param {Node} node @param {{x: number, y: number}} at */
  fileAt(node, at) {
    const box = this.box(node);
    const i = box ? this.parts(node, box).rows.findIndex((row) => within(row, at.x, at.y)) : -1;
    return this.of(node).files[i];
  }

  /** @param {Look} look @param {Item} item @param {Rect} cell */
  drawItem(look, item, cell) {
    const { pen, theme } = look;
    const { camera, pictures } = this.stage;
    const picture = item.kind !== 'image' ? null : pictures.get(item.url, Math.max(cell.w, cell.h) * camera.scale * camera.dpr);
    if (picture) return paint(look, picture, cell);
    round(pen, cell.x, cell.y, cell.w, cell.h, 4);
    pen.fillStyle = theme.field;
    pen.fill();
    if (look.lod !== 2) return;
    const failed = pictures.failed.has(item.url);
    const words = item.kind !== 'image' ? `${item.kind === 'video' ? '▶' : '♪'} ${item.name}` : failed ? look.t('media.gone', { name: item.name }) : item.name;
    look.text(words, cell.x + cell.w / 2, cell.y + cell.h / 2, 'small', theme.faint, cell.w - 12, 'center');
  }

  /** The newest preview frame of a node, on the overlay. @param {Look} look @param {Node} node */
  drawLive(look, node) {
    const key = this.live.get(node.id);
    const box = key && this.box(node);
    const picture = key && this.stage.pictures.held.get(key);
    if (!box || !picture) return;
    const { pen, theme } = look;
    round(pen, box.x, box.y, box.w, box.h, 4);
    pen.fillStyle = theme.node;
    pen.fill();
    paint(look, picture, box);
  }

  /** Called for a `media` event: decode the newest frame, drop the one before. @param {import('../graph/model.js').NodeId} id */
  refresh(id) {
    const { doc, pictures } = this.stage;
    const preview = doc.run?.preview(doc.key(id));
    const key = `preview ${doc.id} ${id}`;
    this.forget(id);
    if (!preview) {
      if (this.live.delete(id)) {
        pictures.drop(key);
        this.stage.mark('over', 'media');
      }
      return this.stage.mark('scene', 'media');
    }
    const first = !this.live.has(id);
    pictures.decode(key, preview.blob, 512).then(() => {
      if (this.stage.doc !== doc || !doc.run?.preview(doc.key(id))) return pictures.drop(key);
      this.live.set(id, key);
      if (first) this.stage.mark('scene', 'media');
      this.stage.mark('over', 'preview');
    }, () => {});
  }

  /** Closes every preview; called when another document or graph comes into view. */
  reset() {
    for (const key of this.live.values()) this.stage.pictures.drop(key);
    this.live.clear();
    this.known.clear();
    this.trays.clear();
  }

  /** The picture under a point, with its place. @param {Node} node @param {number} x @param {number} y @returns {{item: Item, box: Rect} | null} */
  itemAt(node, x, y) {
    const i = this.indexAt(node, x, y);
    const box = i < 0 ? null : this.box(node);
    return box && { item: this.of(node).items[i], box: this.cells(node, box)[i] };
  }

  /** Index of the picture under a point, or -1. @param {Node} node @param {number} x @param {number} y */
  indexAt(node, x, y) {
    const box = this.box(node);
    if (!box) return -1;
    return this.cells(node, box).findIndex((cell) => within(cell, x, y));
  }
}

/** @param {string} value as a widget holds it: `sub/name.png [output]` @param {string} [folder] */
function inputFile(value, folder) {
  const match = /^(.*?)(?: \[(input|output|temp)\])?$/.exec(value);
  const path = match?.[1] ?? value;
  const cut = path.lastIndexOf('/');
  return { filename: path.slice(cut + 1), subfolder: cut < 0 ? '' : path.slice(0, cut), type: match?.[2] ?? folder ?? 'input' };
}

/** @param {Rect} box @param {number} x @param {number} y */
function within(box, x, y) {
  return x >= box.x && y >= box.y && x < box.x + box.w && y < box.y + box.h;
}

/** Cells for `n` pictures in a box. @param {Rect} box @param {number} n @param {number} [aspect] width of a picture over its height @returns {Rect[]} */
export function grid(box, n, aspect = 1) {
  if (n <= 1) return n ? [box] : [];
  const columns = Math.max(1, Math.min(n, Math.round(Math.sqrt((n * box.w) / Math.max(box.h * aspect, 1)))));
  const rows = Math.ceil(n / columns);
  const w = box.w / columns, h = box.h / rows;
  return Array.from({ length: n }, (_, i) => ({ x: box.x + (i % columns) * w + 1, y: box.y + Math.floor(i / columns) * h + 1, w: w - 2, h: h - 2 }));
}

/** Draws a picture whole, centred in its cell. @param {Look} look @param {import('./picture.js').Picture} picture @param {Rect} cell */
function paint({ pen }, picture, cell) {
  const k = Math.min(cell.w / picture.width, cell.h / picture.height);
  const w = picture.width * k, h = picture.height * k;
  pen.imageSmoothingQuality = 'medium';
  pen.drawImage(picture.bitmap, cell.x + (cell.w - w) / 2, cell.y + (cell.h - h) / 2, w, h);
}
