/** Painting a mask on the picture of a node: brush, eraser, softness, undo; saved as the picture's alpha. */

import { html, useEffect, useRef, useState } from '../vendor/preact.js';
import { setValue } from '../graph/edit.js';
import { valueOf } from '../graph/model.js';
import { Modal } from './dialogs.js';
import { IconButton } from './icon.js';

const MASK_COLOR = '#e8a33d';

/** A file named as "sub/name.png [input]". @param {string} value */
export function fileOf(value) {
  const [, path, type = 'input'] = /^(.*?)(?: \[(input|output|temp)\])?$/.exec(value) ?? [];
  const at = path.lastIndexOf('/');
  return { filename: path.slice(at + 1), subfolder: at < 0 ? '' : path.slice(0, at), type };
}

/** The paper the mask is painted on, in the picture's own pixels. */
class Painter {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
    /** @type {ImageData[]} */ this.steps = [];
    /** @type {[number, number]|null} */ this.last = null;
  }

  remember() {
    this.steps = [...this.steps, this.pen.getImageData(0, 0, this.canvas.width, this.canvas.height)].slice(-20);
  }

  undo() {
    const step = this.steps.pop();
    if (step) this.pen.putImageData(step, 0, 0);
  }

  /** @param {PointerEvent} event @param {{size: number, soft: number, erase: boolean}} brush */
  stroke(event, { size, soft, erase }) {
    const { pen, canvas } = this;
    const box = canvas.getBoundingClientRect();
    const scale = canvas.width / box.width;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    const [px, py] = this.last ?? [x, y];
    pen.globalCompositeOperation = erase || event.buttons === 2 ? 'destination-out' : 'source-over';
    pen.lineCap = pen.lineJoin = 'round';
    pen.lineWidth = size * (event.pointerType === 'pen' ? 0.4 + event.pressure : 1);
    pen.strokeStyle = MASK_COLOR;
    pen.shadowColor = soft ? MASK_COLOR : 'transparent';
    pen.shadowBlur = (soft / 100) * size;
    pen.beginPath();
    pen.moveTo(px, py);
    pen.lineTo(x + 0.01, y);
    pen.stroke();
    this.last = [x, y];
  }

  clear() {
    this.remember();
    this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  invert() {
    this.remember();
    this.pen.globalCompositeOperation = 'xor';
    this.pen.shadowColor = 'transparent';
    this.pen.fillStyle = MASK_COLOR;
    this.pen.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }
}

/** @param {{app: any, id: any, done: (value?: any) => void}} props */
export function MaskPainter({ app, id, done }) {
  const { t } = app;
  const doc = app.active.value;
  const node = doc.graph.node(id);
  const widget = node?.widgets.find((/** @type {any} */ one) => one.options.image);
  const file = widget ? fileOf(String(valueOf(node, widget))) : null;
  const [brush, setBrush] = useState({ size: 40, soft: 20, erase: false });
  const [picture, setPicture] = useState(/** @type {HTMLImageElement|null} */ (null));
  const paper = useRef(/** @type {HTMLCanvasElement|null} */ (null));
  const painter = useRef(/** @type {Painter|null} */ (null));
  const set = (/** @type {Partial<typeof brush>} */ change) => setBrush((old) => ({ ...old, ...change }));
  useEffect(() => {
    if (!file || !paper.current) return;
    const image = new Image();
    const canvas = paper.current;
    image.onload = async () => {
      [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
      painter.current = new Painter(canvas);
      set({ size: Math.max(4, Math.round(image.naturalWidth / 14)) });
      await readAlpha(app, file, canvas).catch(() => {});
      setPicture(image);
    };
    image.src = app.api.viewUrl(file, { channel: 'rgb' });
  }, []);
  const save = async () => {
    try {
      await store(app, doc, node, widget, file, /** @type {any} */ (picture), /** @type {any} */ (paper.current));
      app.ui.toast(t('mask.saved'), { kind: 'ok' });
      done(true);
    } catch (error) {
      app.ui.toast(error instanceof Error ? error.message : String(error), { kind: 'error' });
    }
  };
  const keydown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === 'z' && (event.ctrlKey || event.metaKey)) painter.current?.undo();
    else if (event.key === '[') set({ size: Math.max(1, Math.round(brush.size / 1.2)) });
    else if (event.key === ']') set({ size: Math.min(600, Math.round(brush.size * 1.2 + 1)) });
    else if (event.key === 'e') set({ erase: !brush.erase });
    else return;
    event.preventDefault();
  };
  return html`<${Modal} app=${app} title=${t('mask.title')} done=${done} class="full" bare=${true}>
    <div class="light" tabindex="-1" autofocus onKeyDown=${keydown}>
      <${MaskBar} app=${app} brush=${brush} set=${set} painter=${painter.current} ready=${picture !== null} save=${save} done=${done} />
      <div class="light-body">${file ? html`<div class="mask-stack"><img src=${app.api.viewUrl(file, { channel: 'rgb' })} alt="" draggable="false" />
        <canvas ref=${paper} tabindex="0" aria-label=${t('mask.title')} onContextMenu=${(/** @type {any} */ event) => event.preventDefault()}
          onPointerDown=${(/** @type {any} */ event) => begin(event, painter.current, brush)} onPointerMove=${(/** @type {any} */ event) => event.buttons && painter.current?.stroke(event, brush)}></canvas></div>` : html`<p class="none">${t('mask.none')}</p>`}</div>
    </div>
  <//>`;
}

/** @param {any} event @param {Painter|null} painter @param {{size: number, soft: number, erase: boolean}} brush */
function begin(event, painter, brush) {
  if (!painter) return;
  event.currentTarget.setPointerCapture(event.pointerId);
  painter.remember();
  painter.last = null;
  painter.stroke(event, brush);
}

/** @param {{app: any, brush: {size: number, soft: number, erase: boolean}, set: (change: any) => void, painter: Painter|null, ready: boolean, save: () => void, done: (value?: any) => void}} props */
function MaskBar({ app, brush, set, painter, ready, save, done }) {
  const { t } = app;
  return html`<header class="light-head mask-bar">
    <span>${t('mask.title')}</span>
    <${IconButton} icon="brush" label=${t('mask.brush')} pressed=${!brush.erase} onClick=${() => set({ erase: false })} />
    <${IconButton} icon="eraser" label=${t('mask.eraser')} hint="E" pressed=${brush.erase} onClick=${() => set({ erase: true })} />
    <label>${t('mask.size')}<input type="range" min="1" max="400" value=${brush.size} onInput=${(/** @type {any} */ event) => set({ size: Number(event.target.value) })} /></label>
    <label>${t('mask.soft')}<input type="range" min="0" max="100" value=${brush.soft} onInput=${(/** @type {any} */ event) => set({ soft: Number(event.target.value) })} /></label>
    <${IconButton} icon="undo-2" label=${t('cmd.undo')} hint="Ctrl+Z" onClick=${() => painter?.undo()} />
    <button type="button" class="button small" onClick=${() => painter?.clear()}>${t('mask.clear')}</button>
    <button type="button" class="button small" onClick=${() => painter?.invert()}>${t('mask.invert')}</button>
    <i class="light-gap"></i>
    <button type="button" class="button primary small" disabled=${!ready} onClick=${save}>${t('mask.save')}</button>
    <${IconButton} icon="x" label=${t('close')} onClick=${() => done()} />
  </header>`;
}

/** Shows the mask a picture already has: where it is transparent. @param {any} app @param {any} file @param {HTMLCanvasElement} canvas */
async function readAlpha(app, file, canvas) {
  const bitmap = await createImageBitmap(await (await fetch(app.api.viewUrl(file, { channel: 'a' }))).blob());
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  const [r, g, b] = [0xe8, 0xa3, 0x3d];
  for (let i = 0; i < pixels.data.length; i += 4) {
    const covered = 255 - pixels.data[i + 3];
    pixels.data.set([r, g, b, covered], i);
  }
  context.putImageData(pixels, 0, 0);
}

/** Uploads the picture with the mask as its transparency and lets the node load that. @param {any} app @param {any} doc @param {any} node @param {any} widget @param {any} file @param {HTMLImageElement} picture @param {HTMLCanvasElement} paper */
async function store(app, doc, node, widget, file, picture, paper) {
  const canvas = new OffscreenCanvas(paper.width, paper.height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d'));
  context.drawImage(picture, 0, 0);
  context.globalCompositeOperation = 'destination-out';
  context.drawImage(paper, 0, 0);
  const form = new FormData();
  form.append('image', await canvas.convertToBlob({ type: 'image/png' }), `mask-${Date.now()}.png`);
  form.append('original_ref', JSON.stringify(file));
  form.append('type', 'input');
  form.append('subfolder', 'clipspace');
  const { name, subfolder } = await app.api.json('/upload/mask', { method: 'POST', body: form });
  const value = `${subfolder ? `${subfolder}/` : ''}${name} [input]`;
  const values = widget.options.values;
  if (Array.isArray(values) && !values.includes(value)) values.push(value);
  doc.edit(app.t('mask.title'), (/** @type {any} */ e) => setValue(e, node.id, widget.name, value));
  doc.emit('media', { id: node.id });
}
