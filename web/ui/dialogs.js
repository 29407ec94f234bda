/** Dialogs: the small ones are here, the others are fetched when first opened. */

import { html, useLayoutEffect, useRef } from '../vendor/preact.js';
import { IconButton } from './icon.js';
import { lazy } from './lazy.js';

/** @type {Record<string, any>} */
const KINDS = {
  confirm: Confirm,
  ask: Ask,
  lightbox: lazy(() => import('./lightbox.js'), 'Lightbox'),
  compare: lazy(() => import('./compare.js'), 'Compare'),
  mask: lazy(() => import('./mask.js'), 'MaskPainter'),
  settings: lazy(() => import('./settings.js'), 'Settings'),
  diff: lazy(() => import('./diff.js'), 'Diff'),
  sweep: lazy(() => import('./sweep.js'), 'Sweep'),
  sweepGrid: lazy(() => import('./sweepgrid.js'), 'SweepGrid'),
  login: lazy(() => import('./login.js'), 'Login'),
  logs: lazy(() => import('./logs.js'), 'Logs'),
  note: lazy(() => import('./note.js'), 'Note'),
  page: lazy(() => import('./page.js'), 'Page'),
  stats: lazy(() => import('./stats.js'), 'Stats'),
};

/** @param {{app: any}} props */
export function Dialogs({ app }) {
  return app.ui.dialogs.value.map((/** @type {import('./layers.js').Dialog} */ dialog) => html`<${KINDS[dialog.name]} key=${dialog.name} app=${app} done=${dialog.done} ...${dialog.props} />`);
}

/**
 * A modal frame.
 * @param {{app: any, title: string, done: (value?: any) => void, children: any, class?: string, bare?: boolean}} props
 */
export function Modal({ app, title, done, children, class: extra = '', bare = false }) {
  const ref = useRef(/** @type {any} */ (null));
  useLayoutEffect(() => {
    ref.current?.showModal();
    (ref.current?.querySelector('[autofocus]') ?? ref.current)?.focus();
    return () => app.canvas?.focus();
  }, []);
  return html`<dialog ref=${ref} tabindex="-1" class=${`modal ${extra}`} aria-label=${title} onCancel=${(/** @type {any} */ event) => { event.preventDefault(); done(); }} onClick=${(/** @type {any} */ event) => event.target === ref.current && done()}>
    <div class="modal-frame">
      ${bare ? null : html`<header class="modal-head"><h2>${title}</h2><${IconButton} icon="x" label=${app.t('close')} onClick=${() => done()} /></header>`}
      ${children}
    </div>
  </dialog>`;
}

/** @param {{app: any, text: string, yes: string, danger?: boolean, done: (value?: any) => void}} props */
function Confirm({ app, text, yes, danger = false, done }) {
  return html`<${Modal} app=${app} title=${text} done=${done} class="small" bare=${true}>
    <p class="modal-text">${text}</p>
    <footer class="modal-foot"><button type="button" class="button" onClick=${() => done()}>${app.t('cancel')}</button><button type="button" class=${`button ${danger ? 'danger' : 'primary'}`} autofocus onClick=${() => done(true)}>${yes}</button></footer>
  <//>`;
}

/** @param {{app: any, text: string, value: string, done: (value?: any) => void}} props */
function Ask({ app, text, value, done }) {
  const input = useRef(/** @type {any} */ (null));
  useLayoutEffect(() => input.current?.select(), []);
  return html`<${Modal} app=${app} title=${text} done=${done} class="small" bare=${true}>
    <form method="dialog" onSubmit=${(/** @type {any} */ event) => { event.preventDefault(); done(input.current.value); }}>
      <label class="modal-text">${text}<input ref=${input} class="field" type="text" autofocus value=${value} /></label>
      <footer class="modal-foot"><button type="button" class="button" onClick=${() => done()}>${app.t('cancel')}</button><button type="submit" class="button primary">${app.t('ok')}</button></footer>
    </form>
  <//>`;
}
