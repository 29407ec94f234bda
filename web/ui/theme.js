/** Light, dark, or what the system says; and less motion for who wants less. */

import { effect } from '../vendor/preact.js';

/** @param {any} app */
export function applyTheme(app) {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const still = matchMedia('(prefers-reduced-motion: reduce)');
  const apply = () => {
    const theme = app.prefs.signal('theme').value;
    const motion = app.prefs.signal('motion').value;
    const root = document.documentElement;
    root.dataset.theme = theme === 'system' ? (dark.matches ? 'dark' : 'light') : theme;
    root.dataset.motion = motion === 'system' ? (still.matches ? 'less' : 'full') : motion;
    root.style.fontSize = `${(app.prefs.signal('text.size').value / 100) * 13}px`;
    document.querySelector('meta[name=theme-color]')?.setAttribute('content', getComputedStyle(root).getPropertyValue('--bar').trim());
    app.emit('theme');
  };
  dark.addEventListener('change', apply);
  still.addEventListener('change', apply);
  effect(apply);
}
