/** A picture at its full size, its neighbours a key away, and how it was made. */

import { html, useEffect, useRef, useState } from '../vendor/preact.js';
import { Icon, IconButton } from './icon.js';
import { Modal } from './dialogs.js';
import { bytes, duration } from './media.js';
import { jobOf, pictureItems, remove, toInput } from './gallery.js';
import { saveToDisk } from './files.js';

/** @param {{app: any, pictures: any[], index: number, done: (value?: any) => void}} props */
export function Lightbox({ app, pictures, index, done }) {
  const { t } = app;
  const [at, setAt] = useState(index);
  const [actual, setActual] = useState(false);
  const [told, setTold] = useState(false);
  const [gone, setGone] = useState(/** @type {any[]} */ ([]));
  const left = pictures.filter((one) => !gone.includes(one));
  const picture = withJob(app, left[Math.min(at, left.length - 1)]);
  const step = (/** @type {number} */ by) => setAt((at + by + left.length) % left.length);
  const other = left[(at + 1) % left.length];
  const drop = async () => {
    if (!(await remove(app, [picture]))) return;
    if (left.length === 1) return done();
    setGone([...gone, left[at]]);
    setAt(Math.min(at, left.length - 2));
  };
  const keydown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === 'ArrowRight') step(1);
    else if (event.key === 'ArrowLeft') step(-1);
    else if (event.key === 'i') setTold(!told);
    else if (event.key === 'z') setActual(!actual);
    else if (event.key === 'Delete' && picture.file) void drop();
    else return;
    event.preventDefault();
  };
  const menu = (/** @type {any} */ event) => {
    event.preventDefault();
    if (picture.file) app.ui.menu(pictureItems(app, { kind: 'image', ...picture }).map((item) => (item === '-' || !item.run ? item : { ...item, run: () => { done(); item.run?.(); } })), [event.clientX, event.clientY]);
  };
  return html`<${Modal} app=${app} title=${picture.name ?? t('image.open')} done=${done} class="full" bare=${true}>
    <div class="light" tabindex="-1" autofocus onKeyDown=${keydown}>
      <header class="light-head"><span>${picture.name}</span><em>${left.length > 1 ? `${at + 1} / ${left.length}` : ''}</em>
        ${picture.job ? html`<${IconButton} icon="workflow" label=${t('queue.openWorkflow')} onClick=${() => openWorkflow(app, picture, done)} />` : null}
        ${picture.file && (picture.kind ?? 'image') === 'image' ? html`<${IconButton} icon="corner-up-left" label=${t('gallery.toInput')} onClick=${() => { done(); void toInput(app, picture.file); }} />` : null}
        ${left.length > 1 && (picture.kind ?? 'image') === 'image' ? html`<${IconButton} icon="columns-2" label=${t('light.compareNext')} onClick=${() => { done(); app.ui.compare(other.url, picture.url); }} />` : null}
        <i class="light-gap"></i>
        <${IconButton} icon="zoom-in" label=${t('light.zoom')} hint="Z" pressed=${actual} onClick=${() => setActual(!actual)} />
        ${picture.job ? html`<${IconButton} icon="info" label=${t('light.info')} hint="I" pressed=${told} onClick=${() => setTold(!told)} />` : null}
        <${IconButton} icon="download" label=${t('image.save')} onClick=${() => saveToDisk(picture.url, picture.name ?? 'picture.png')} />
        ${picture.file && picture.file.type !== 'input' ? html`<${IconButton} icon="trash-2" label=${t('gallery.delete')} hint="Del" onClick=${drop} />` : null}
        <${IconButton} icon="x" label=${t('close')} onClick=${() => done()} />
      </header>
      <div class=${`light-body ${actual ? 'actual' : ''}`} onContextMenu=${menu} onClick=${(/** @type {any} */ event) => event.target === event.currentTarget && done()}>
        ${picture.kind === 'video' ? html`<video src=${picture.url} controls autoplay loop></video>` : picture.kind === 'audio' ? html`<audio src=${picture.url} controls autoplay></audio>` : html`<${Picture} key=${picture.url} url=${picture.url} name=${picture.name} toggle=${() => setActual(!actual)} />`}
      </div>
      ${told && picture.job ? html`<${Provenance} app=${app} picture=${picture} done=${done} />` : null}
      ${left.length > 1 ? html`<button type="button" class="light-step last" aria-label=${t('light.last')} onClick=${() => step(-1)}><${Icon} name="chevron-left" size=${26} /></button><button type="button" class="light-step next" aria-label=${t('light.next')} onClick=${() => step(1)}><${Icon} name="chevron-right" size=${26} /></button>` : null}
    </div>
  <//>`;
}

/** @param {any} app @param {any} picture */
function withJob(app, picture) {
  return picture.job || !picture.file ? picture : { ...picture, job: jobOf(app, picture.file), path: picture.path ?? '' };
}

/** @param {any} app @param {any} picture @param {() => void} done */
function openWorkflow(app, { job, name }, done) {
  done();
  app.open(job.workflow ?? job.prompt, { name: name.replace(/\.[^.]*$/, '') });
}

/** Small pictures are shown larger, whole pixels, so that one sees them. @param {{url: string, name?: string, toggle: () => void}} props */
function Picture({ url, name, toggle }) {
  const ref = useRef(/** @type {any} */ (null));
  useEffect(() => {
    const image = ref.current;
    const fit = () => {
      if (!image.naturalWidth || !image.parentElement) return;
      const { width, height } = image.parentElement.getBoundingClientRect();
      const scale = Math.min(width / image.naturalWidth, height / image.naturalHeight);
      image.classList.toggle('pixels', scale > 2.5);
      image.style.setProperty('--shown', `${Math.floor(image.naturalWidth * Math.min(scale, scale > 1 ? Math.max(1, Math.floor(scale)) : scale))}px`);
    };
    image.onload = fit;
    const watch = new ResizeObserver(fit);
    watch.observe(image.parentElement);
    return () => watch.disconnect();
  }, []);
  return html`<img ref=${ref} src=${url} alt=${name ?? ''} onDblClick=${toggle} />`;
}

/** @param {{app: any, picture: any, done: (value?: any) => void}} props */
function Provenance({ app, picture, done }) {
  const { t } = app;
  const { job, path } = picture;
  const order = upstream(job.prompt, path);
  return html`<aside class="light-info">
    <h3>${t('light.info')}</h3>
    <p class="faint">${[duration(job.ms), job.time ? new Date(job.time).toLocaleString(app.words.language) : '', bytes(picture.size)].filter(Boolean).join(' · ')}</p>
    ${order.map(([id, node]) => {
      const values = Object.entries(node.inputs ?? {}).filter(([, value]) => !Array.isArray(value) && value !== '');
      return values.length ? html`<section key=${id}><h4>${node._meta?.title ?? node.class_type}</h4>${values.map(([name, value]) => html`<p><span>${name}</span><b>${String(value?.__value__ ?? value)}</b></p>`)}</section>` : null;
    })}
    <button type="button" class="button" onClick=${() => openWorkflow(app, picture, done)}><${Icon} name="workflow" />${t('queue.openWorkflow')}</button>
  </aside>`;
}

/** What a node's result came from, itself last. @param {Record<string, any>} prompt @param {string} path @returns {[string, any][]} */
function upstream(prompt, path) {
  /** @type {[string, any][]} */ const order = [];
  const seen = new Set();
  /** @param {string} id */
  const visit = (id) => {
    if (seen.has(id) || !prompt[id]) return;
    seen.add(id);
    for (const value of Object.values(prompt[id].inputs ?? {})) if (Array.isArray(value) && typeof value[0] === 'string') visit(value[0]);
    order.push([id, prompt[id]]);
  };
  visit(path);
  return order.length ? order : Object.entries(prompt);
}
