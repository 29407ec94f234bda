/** Icons from the sprite. */

import { html } from '../vendor/preact.js';

/** @param {{name: string, size?: number, class?: string}} props */
export function Icon({ name, size = 16, class: extra = '' }) {
  return html`<svg class=${`icon ${extra}`} width=${size} height=${size} aria-hidden="true"><use href=${`vendor/icons.svg#${name}`} /></svg>`;
}

/** A button with an icon and a spoken name. @param {{icon: string, label: string, onClick: (event: any) => void, class?: string, pressed?: boolean, disabled?: boolean, hint?: string, size?: number}} props */
export function IconButton({ icon, label, onClick, class: extra = '', pressed, disabled, hint, size }) {
  return html`<button type="button" class=${`icon-button ${extra}`} aria-label=${label} title=${hint ? `${label}  ${hint}` : label} aria-pressed=${pressed} disabled=${disabled} onClick=${onClick}>
    <${Icon} name=${icon} size=${size} />
  </button>`;
}
