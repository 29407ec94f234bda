/** Two pictures in one place, with a line one can move. */

import { html, useRef, useState } from '../vendor/preact.js';
import { Modal } from './dialogs.js';
import { IconButton } from './icon.js';

/** @param {{app: any, before: string, after: string, done: (value?: any) => void}} props */
export function Compare({ app, before, after, done }) {
  const { t } = app;
  const [at, setAt] = useState(50);
  const box = useRef(/** @type {any} */ (null));
  const move = (/** @type {any} */ event) => {
    if (event.type === 'pointermove' && !event.buttons && event.pointerType !== 'mouse') return;
    const { left, width } = box.current.getBoundingClientRect();
    setAt(Math.max(0, Math.min(100, ((event.clientX - left) / width) * 100)));
  };
  return html`<${Modal} app=${app} title=${t('compare.title')} done=${done} class="full" bare=${true}>
    <div class="light">
      <header class="light-head"><span>${t('compare.before')} | ${t('compare.after')}</span><i class="light-gap"></i><${IconButton} icon="x" label=${t('close')} onClick=${() => done()} /></header>
      <div class="light-body">
        <div class="compare" ref=${box} onPointerDown=${move} onPointerMove=${move}>
          <img src=${after} alt=${t('compare.after')} />
          <img src=${before} alt=${t('compare.before')} style=${{ clipPath: `inset(0 ${100 - at}% 0 0)` }} />
          <i style=${{ left: `${at}%` }}></i>
        </div>
      </div>
      <input class="compare-range" type="range" autofocus min="0" max="100" step="1" value=${at} aria-label=${t('compare.slider')} onInput=${(/** @type {any} */ event) => setAt(Number(event.target.value))} />
    </div>
  <//>`;
}
