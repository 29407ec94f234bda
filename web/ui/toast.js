/** Short messages at the bottom; an error stays longer and says what can be done. */

import { html, useEffect, useRef } from '../vendor/preact.js';
import { Icon, IconButton } from './icon.js';

const ICONS = { info: 'info', error: 'circle-alert', ok: 'circle-check' };

/** @param {{app: any}} props */
export function Toasts({ app }) {
  const ref = useRef(/** @type {any} */ (null));
  const toasts = app.ui.toasts.value;
  useEffect(() => {
    const box = ref.current;
    if (!box?.showPopover) return;
    // Shown again, it comes to lie above a dialog that was opened in between.
    if (box.matches(':popover-open')) box.hidePopover();
    if (toasts.length) box.showPopover();
  }, [toasts]);
  return html`<div class="toasts" popover="manual" ref=${ref}>
    ${toasts.map((/** @type {import('./layers.js').Toast} */ toast) => html`<div key=${toast.id} class=${`toast ${toast.kind}`}>
      <${Icon} name=${ICONS[toast.kind]} /><span>${toast.text}</span>
      ${toast.action ? html`<button type="button" class="button small" onClick=${() => { app.ui.untoast(toast.id); toast.action?.run(); }}>${toast.action.label}</button>` : null}
      <${IconButton} icon="x" size=${14} label=${app.t('dismiss')} onClick=${() => app.ui.untoast(toast.id)} />
    </div>`)}
  </div>`;
}
