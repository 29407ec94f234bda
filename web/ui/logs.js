/** What the server prints, as it prints it. */

import { html, useEffect, useRef, useState } from '../vendor/preact.js';
import { Modal } from './dialogs.js';

/** @param {{app: any, done: (value?: any) => void}} props */
export function Logs({ app, done }) {
  const { t } = app;
  const [lines, setLines] = useState(/** @type {{t: string, m: string}[]} */ ([]));
  const end = useRef(/** @type {any} */ (null));
  useEffect(() => {
    const subscribe = (/** @type {boolean} */ enabled) => fetch('internal/logs/subscribe', { method: 'PATCH', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ clientId: app.api.clientId, enabled }) }).catch(() => {});
    fetch('internal/logs/raw').then((response) => response.json()).then(({ entries }) => setLines(entries ?? []), () => {});
    void subscribe(true);
    const off = app.socket.on('logs', (/** @type {any} */ { entries }) => setLines((old) => [...old, ...(entries ?? [])].slice(-2000)));
    return () => {
      off();
      void subscribe(false);
    };
  }, []);
  useEffect(() => end.current?.scrollIntoView({ block: 'end' }), [lines.length]);
  return html`<${Modal} app=${app} title=${t('cmd.logs')} done=${done} class="wide">
    <div class="modal-body"><pre class="log" tabindex="0">${lines.length ? lines.map((line) => line.m).join('').replace(/\u001b\[[0-9;]*m/g, '') : t('logs.empty')}</pre><i ref=${end}></i></div>
  <//>`;
}
