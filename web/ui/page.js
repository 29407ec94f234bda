/** A page or a text that a node wrote, read where one is: a page in a frame of its own in which nothing runs and nothing is asked for. */

import { html, useEffect, useState } from '../vendor/preact.js';
import { Modal } from './dialogs.js';
import { saveToDisk } from './files.js';
import { Icon } from './icon.js';

/** @param {{app: any, file: import('./media.js').FileRef, done: (value?: any) => void}} props */
export function Page({ app, file, done }) {
  const { t } = app;
  const [text, setText] = useState(/** @type {string|null} */ (null));
  const url = app.api.viewUrl(file);
  useEffect(() => {
    fetch(url).then((answer) => (answer.ok ? answer.text() : t('media.gone', { name: file.filename }))).then(setText, (problem) => setText(String(problem)));
  }, []);
  const paged = /\.html?$/i.test(file.filename);
  return html`<${Modal} app=${app} title=${file.filename} done=${done} class="page">
    <div class="modal-body" aria-busy=${text === null}>
      ${text === null ? t('loading') : paged ? html`<iframe class="page-frame" sandbox="" srcdoc=${text} title=${file.filename}></iframe>` : html`<pre tabindex="0">${text}</pre>`}
    </div>
    <footer class="modal-foot"><button type="button" class="button" onClick=${() => saveToDisk(url, file.filename)}><${Icon} name="download" />${t('image.save')}</button></footer>
  <//>`;
}
