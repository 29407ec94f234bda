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

/** @param {{app: any, id: any, done: (value?: any) => void}} props */
export function MaskPainter({ app, id, done }) {
  const { t } = app;
  const doc = app.active.value;
  const node = doc.graph.node(id);
  const widget = node?.widgets.find((/** @type {any} */ one) => one.options.image);
  const file = widget ? fileOf(String(valueOf(node, widget))) : null;
  const [size, setSize] = useState(40);
  const [soft, setSoft] = useState(20);
  const [erase, setErase] = useState(false);
  const [ready, setReady] = useState(false);
  const paper = useRef(/** @type {HTMLCanvasElement|null} */ (null));
  const picture = useRef(/** @type {HTMLImageElement|null} */ (null));
  const steps = useRef(/** @type {ImageData[]} */ ([]));
  const last = useRef(/** @type {[number, number]|null} */ (null));
  useEffect(() => {
    if (!file) return;
    const image = new Image();
    image.onload = () => {
      const canvas = paper.current;
      if (!canvas) return;
      [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
      picture.current = image;
      setSize(Math.max(4, Math.round(image.naturalWidth / 14)));
      readAlpha(app, file, canvas).finally(() => setReady(true));
    };
    image.src = app.api.viewUrl(file, { channel: 'rgb' });
  }, []);
  const brush = () => /** @type {CanvasRenderingContext2D} */ (paper.current?.getContext('2d', { willReadFrequently: true }));
  const at = (/** @type {any} */ event) => {
    const box = /** @type {HTMLCanvasElement} */ (paper.current).getBoundingClientRect();
    const scale = /** @type {HTMLCanvasElement} */ (paper.current).width / box.width;
    return /** @type {[number, number]} */ ([(event.clientX - box.left) * scale, (event.clientY - box.top) * scale]);
  };
  const remember = () => {
    const canvas = /** @type {HTMLCanvasElement} */ (paper.current);
    steps.current = [...steps.current, brush().getImageData(0, 0, canvas.width, canvas.height)].slice(-20);
  };
  const undo = () => {
    const step = steps.current.pop();
    if (step) brush().putImageData(step, 0, 0);
  };
  const stroke = (/** @type {any} */ event) => {
    const context = brush();
    const [x, y] = at(event);
    const [px, py] = last.current ?? [x, y];
    context.globalCompositeOperation = erase || event.buttons === 2 ? 'destination-out' : 'source-over';
    context.lineCap = context.lineJoin = 'round';
    context.lineWidth = size * (event.pointerType === 'pen' ? 0.4 + event.pressure : 1);
    context.strokeStyle = MASK_COLOR;
    context.shadowColor = soft ? MASK_COLOR : 'transparent';
    context.shadowBlur = (soft / 100) * size;
    context.beginPath();
    context.moveTo(px, py);
    context.lineTo(x + 0.01, y);
    context.stroke();
    last.current = [x, y];
  };
  const clear = () => {
    remember();
    brush().clearRect(0, 0, 1e5, 1e5);
  };
  const invert = () => {
    remember();
    const context = brush();
    context.globalCompositeOperation = 'xor';
    context.shadowColor = 'transparent';
    context.fillStyle = MASK_COLOR;
    context.fillRect(0, 0, 1e5, 1e5);
  };
  const save = async () => {
    try {
      await store(app, doc, node, widget, file, /** @type {any} */ (picture.current), /** @type {any} */ (paper.current));
      app.ui.toast(t('mask.saved'), { kind: 'ok' });
      done(true);
    } catch (error) {
      app.ui.toast(error instanceof Error ? error.message : String(error), { kind: 'error' });
    }
  };
  const keydown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === 'z' && (event.ctrlKey || event.metaKey)) undo();
    else if (event.key === '[') setSize(Math.max(1, Math.round(size / 1.2)));
    else if (event.key === ']') setSize(Math.min(600, Math.round(size * 1.2 + 1)));
    else if (event.key === 'e') setErase(!erase);
    else return;
    event.preventDefault();
  };
  return html`<${Modal} app=${app} title=${t('mask.title')} done=${done} class="full" bare=${true}>
    <div class="light" tabindex="-1" autofocus onKeyDown=${keydown}>
      <header class="light-head mask-bar">
        <span>${t('mask.title')}</span>
        <${IconButton} icon="brush" label=${t('mask.brush')} pressed=${!erase} onClick=${() => setErase(false)} />
        <${IconButton} icon="eraser" label=${t('mask.eraser')} hint="E" pressed=${erase} onClick=${() => setErase(true)} />
        <label>${t('mask.size')}<input type="range" min="1" max="400" value=${size} onInput=${(/** @type {any} */ event) => setSize(Number(event.target.value))} /></label>
        <label>${t('mask.soft')}<input type="range" min="0" max="100" value=${soft} onInput=${(/** @type {any} */ event) => setSoft(Number(event.target.value))} /></label>
        <${IconButton} icon="undo-2" label=${t('cmd.undo')} hint="Ctrl+Z" onClick=${undo} />
        <button type="button" class="button small" onClick=${clear}>${t('mask.clear')}</button>
        <button type="button" class="button small" onClick=${invert}>${t('mask.invert')}</button>
        <em></em>
        <button type="button" class="button primary small" disabled=${!ready} onClick=${save}>${t('mask.save')}</button>
        <${IconButton} icon="x" label=${t('close')} onClick=${() => done()} />
      </header>
      <div class="light-body">${file ? html`<div class="mask-stack"><img src=${app.api.viewUrl(file, { channel: 'rgb' })} alt="" draggable="false" />
        <canvas ref=${paper} tabindex="0" aria-label=${t('mask.title')} onContextMenu=${(/** @type {any} */ event) => event.preventDefault()}
          onPointerDown=${(/** @type {any} */ event) => { event.currentTarget.setPointerCapture(event.pointerId); remember(); last.current = null; stroke(event); }}
          onPointerMove=${(/** @type {any} */ event) => event.buttons && stroke(event)} onPointerUp=${() => (last.current = null)}></canvas></div>` : html`<p class="none">${t('mask.none')}</p>`}</div>
    </div>
  <//>`;
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
