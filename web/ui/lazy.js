/** Parts fetched when they are first shown. */

import { html, useEffect, useState } from '../vendor/preact.js';

/** @param {() => Promise<any>} load @param {string} name */
export function lazy(load, name) {
  /** @type {any} */ let found = null;
  return function Lazy(/** @type {any} */ props) {
    const [Part, setPart] = useState(() => found);
    useEffect(() => {
      if (!found) load().then((module) => { found = module[name]; setPart(() => found); });
    }, []);
    return Part ? html`<${Part} ...${props} />` : null;
  };
}

export const Form = lazy(() => import('./form.js'), 'Form');
