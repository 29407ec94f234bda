/** What a sweep made, as a grid with the values at its edges. Each job says where it belongs, so it can be shown again later. */

import { html } from '../vendor/preact.js';
import { Modal } from './dialogs.js';
import { mediaOf } from './media.js';

/** @typedef {{id: string, row: number, column: number, x: any, y: any, xLabel: string, yLabel: string}} Place of a job in its sweep */
/** @typedef {import('../store/jobs.js').Job & {sweep: Place}} Swept */

/** The jobs of a sweep, those that wait too; a cell that was run twice is shown as it was last. @param {any} app @param {string} id @returns {Swept[]} */
function jobsOf(app, id) {
  return [...app.jobs.queue.value, ...[...app.jobs.past.value].reverse()].filter((job) => job.sweep?.id === id);
}

/** @param {any} x @param {any} y */
function label(x, y) {
  return y === null || y === undefined ? String(x) : `${x}, ${y}`;
}

/** @param {{app: any, id: string, done: (value?: any) => void}} props */
export function SweepGrid({ app, id, done }) {
  const { t } = app;
  const jobs = jobsOf(app, id);
  /** @type {Map<string, Swept>} */ const cells = new Map();
  /** @type {any[]} */ const xs = [];
  /** @type {any[]} */ const ys = [];
  for (const job of jobs) {
    const { row, column, x, y } = job.sweep;
    xs[column] = x;
    ys[row] = y;
    cells.set(`${row}/${column}`, job);
  }
  const { xLabel = '', yLabel = '' } = jobs[0]?.sweep ?? {};
  const rows = [...ys.keys()];
  const columns = [...xs.keys()];
  const pictures = rows.flatMap((row) => columns.flatMap((column) => {
    const job = cells.get(`${row}/${column}`);
    const medium = job && mediaOf(job.outputs)[0];
    return medium ? [{ at: `${row}/${column}`, url: app.api.viewUrl(medium.file), name: label(xs[column], ys[row]), file: medium.file, path: medium.path, kind: medium.kind, job }] : [];
  }));
  return html`<${Modal} app=${app} title=${t('sweep.grid')} done=${done} class="wide">
    <div class="modal-body sweep-grid"><table><caption>${xLabel}${yLabel ? ` × ${yLabel}` : ''}</caption>
      <thead><tr>${yLabel ? html`<td></td>` : null}${columns.map((column) => html`<th scope="col" key=${column}>${String(xs[column])}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row}>${yLabel ? html`<th scope="row">${String(ys[row])}</th>` : null}${columns.map((column) => html`<td key=${column}><${Cell} app=${app} job=${cells.get(`${row}/${column}`)} name=${label(xs[column], ys[row])} at=${`${row}/${column}`} pictures=${pictures} /></td>`)}</tr>`)}</tbody>
    </table></div>
  <//>`;
}

/** @param {{app: any, job: Swept|undefined, name: string, at: string, pictures: any[]}} props */
function Cell({ app, job, name, at, pictures }) {
  const { t } = app;
  const place = pictures.findIndex((one) => one.at === at);
  if (place >= 0) return html`<button type="button" onClick=${() => app.ui.lightbox(pictures, place)}><img src=${app.api.viewUrl(pictures[place].file, { preview: 'webp;80' })} alt=${name} /></button>`;
  const words = job?.state === 'running' ? 'queue.running' : !job || job.state === 'cancelled' ? 'queue.cancelled' : job.state === 'error' ? 'queue.failed' : 'sweep.waiting';
  return html`<span class="faint">${t(words)}</span>`;
}
