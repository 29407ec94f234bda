/** Menus: one at a time, with a second beside it; arrows, letters, Escape. */

import { html, useEffect, useLayoutEffect, useRef, useState } from '../vendor/preact.js';
import { Icon } from './icon.js';

/** @typedef {import('./layers.js').MenuItem} MenuItem */

/** @param {{app: any}} props */
export function MenuLayer({ app }) {
  const open = app.ui.menuOpen.value;
  const before = useRef(/** @type {any} */ (null));
  useEffect(() => {
    if (open) before.current = document.activeElement;
  }, [open]);
  if (!open) return null;
  const close = () => {
    app.ui.menuOpen.value = null;
    if (before.current?.isConnected) before.current.focus?.({ preventScroll: true });
  };
  return html`<div class="menu-shade" onPointerDown=${(/** @type {any} */ event) => event.target.classList.contains('menu-shade') && close()} onContextMenu=${(/** @type {any} */ event) => event.preventDefault()}>
    <${Menu} items=${open.items} at=${open.at} close=${close} key=${open.at.join()} />
  </div>`;
}

/** @param {{items: (MenuItem|'-')[], at: [number, number], close: () => void, back?: () => void, side?: boolean}} props */
function Menu({ items, at, close, back }) {
  const ref = useRef(/** @type {any} */ (null));
  const [child, setChild] = useState(/** @type {{item: MenuItem, at: [number, number]}|null} */ (null));
  useLayoutEffect(() => {
    const box = ref.current.getBoundingClientRect();
    const x = Math.max(6, Math.min(at[0], innerWidth - box.width - 6));
    const y = Math.max(6, Math.min(at[1], innerHeight - box.height - 6));
    ref.current.style.left = `${x}px`;
    ref.current.style.top = `${y}px`;
    ref.current.querySelector('button:not(:disabled)')?.focus({ preventScroll: true });
  }, []);
  /** @param {MenuItem} item @param {HTMLElement} element */
  const open = (item, element) => {
    const box = element.getBoundingClientRect();
    const wide = ref.current.getBoundingClientRect();
    const narrow = innerWidth < 560;
    setChild({ item, at: narrow ? [wide.left, box.top] : wide.right + wide.width > innerWidth ? [wide.left - wide.width + 4, box.top - 5] : [wide.right - 4, box.top - 5] });
  };
  /** @param {MenuItem} item @param {any} element */
  const pick = (item, element) => {
    if (item.items) return open(item, element);
    close();
    item.run?.();
  };
  return html`<div class="menu" role="menu" ref=${ref} onKeyDown=${(/** @type {any} */ event) => keydown(event, ref.current, { close, back, open: (/** @type {number} */ i, /** @type {any} */ element) => items[i] !== '-' && /** @type {MenuItem} */ (items[i]).items && open(/** @type {MenuItem} */ (items[i]), element) })}>
    ${items.map((item, i) => item === '-' ? html`<hr />` : html`<button type="button" role=${item.checked === undefined ? 'menuitem' : 'menuitemradio'} aria-checked=${item.checked} aria-haspopup=${item.items ? 'menu' : undefined} data-at=${i} class=${item.danger ? 'danger' : ''} disabled=${item.disabled}
        onClick=${(/** @type {any} */ event) => pick(item, event.currentTarget)} onPointerEnter=${(/** @type {any} */ event) => event.pointerType === 'mouse' && (item.items ? open(item, event.currentTarget) : setChild(null))}>
        ${item.checked === undefined ? (item.icon ? html`<${Icon} name=${item.icon} size=${14} />` : html`<i></i>`) : item.checked ? html`<${Icon} name="check" size=${14} />` : html`<i></i>`}
        <span>${item.label}</span>${item.key ? html`<kbd>${item.key}</kbd>` : null}${item.items ? html`<${Icon} name="chevron-right" size=${12} />` : null}
      </button>`)}
    ${child ? html`<${Menu} key=${child.item.label} items=${child.item.items ?? []} at=${child.at} close=${close} back=${() => setChild(null)} />` : null}
  </div>`;
}

/** @param {KeyboardEvent} event @param {HTMLElement} menu @param {{close: () => void, back?: () => void, open: (i: number, element: any) => void}} acts */
function keydown(event, menu, { close, back, open }) {
  event.stopPropagation();
  const buttons = /** @type {HTMLElement[]} */ ([...menu.querySelectorAll(':scope > button:not(:disabled)')]);
  const at = buttons.indexOf(/** @type {any} */ (document.activeElement));
  const go = (/** @type {number} */ i) => buttons[(i + buttons.length) % buttons.length]?.focus();
  if (event.key === 'Escape') back ? back() : close();
  else if (event.key === 'ArrowDown') go(at + 1);
  else if (event.key === 'ArrowUp') go(at - 1);
  else if (event.key === 'Home') go(0);
  else if (event.key === 'End') go(-1);
  else if (event.key === 'ArrowRight') open(Number(buttons[at]?.dataset.at), buttons[at]);
  else if (event.key === 'ArrowLeft' && back) back();
  else if (event.key === 'Tab') close();
  else if (event.key.length === 1 && event.key !== ' ') {
    const letter = event.key.toLowerCase();
    const next = [...buttons.slice(at + 1), ...buttons].find((button) => button.textContent?.trim().toLowerCase().startsWith(letter));
    return void next?.focus();
  } else return;
  event.preventDefault();
}
