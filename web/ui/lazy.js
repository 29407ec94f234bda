/** Parts fetched when they are first shown. */

import { html, useEffect, useState } from '../vendor/preact.js';

/** @param {() => Promise<any>} load @param {string} name */
export function lazy(load, name) {
  /** @type {any} */ let found = null;
  return function Lazy(/** @type {any} */ props) {
    const [Part, setPart] = useState(() => found);
    useEffect(() => {
      const failed = () => props.app?.ui.toast(props.app.t('lazy.failed'), { kind: 'error', action: { label: props.app.t('lazy.reload'), run: () => location.reload() } });
      if (!found) load().then((module) => { found = module[name]; setPart(() => found); }, failed);
    }, []);
    return Part ? html`<${Part} ...${props} />` : null;
  };
}

export const Palette = lazy(() => import('./search.js'), 'Palette');
export const CommandPalette = lazy(() => import('./commandlist.js'), 'CommandPalette');
export const Form = lazy(() => import('./form.js'), 'Form');
