/** What runs, what waits and what has ended. */

import { html } from '../vendor/preact.js';
import { Icon, IconButton } from './icon.js';
import { PanelHead } from './panels.js';
import { ago, duration, mediaOf, thumbUrl } from './media.js';

/** @typedef {import('../store/jobs.js').Job} Job */

/** @param {{app: any, title: string}} props */
export function Queue({ app, title }) {
  const { t, jobs } = app;
  const queue = jobs.queue.value;
  const past = jobs.past.value;
  const waiting = queue.filter((/** @type {Job} */ job) => job.state === 'pending');
  return html`<${PanelHead} app=${app} title=${title}>
      <${IconButton} icon=${jobs.paused.value ? 'play' : 'pause'} label=${t(jobs.paused.value ? 'queue.resume' : 'queue.pause')} pressed=${jobs.paused.value} onClick=${() => jobs.pause(!jobs.paused.value).catch((/** @type {Error} */ error) => app.ui.toast(error.message, { kind: 'error' }))} />
      <${IconButton} icon="refresh-cw" label=${t('refresh')} onClick=${() => jobs.refresh({ all: true })} />
      <${IconButton} icon="ellipsis" label=${t('more')} onClick=${(/** @type {any} */ event) => {
        const box = event.currentTarget.getBoundingClientRect();
        app.ui.menu([
          { label: t('queue.clear'), icon: 'x', disabled: !waiting.length, run: () => jobs.clearQueue() },
          { label: t('queue.clearPast'), icon: 'trash-2', disabled: !past.length, danger: true, run: () => jobs.clearPast() },
        ], [box.left, box.bottom + 4]);
      }} />
    <//>
    <div class="panel-body">
      ${jobs.paused.value ? html`<p class="notice">${t('queue.paused')}</p>` : null}
      ${queue.length ? html`<ul class="jobs">${queue.map((/** @type {Job} */ job) => html`<${Live} key=${job.id} app=${app} job=${job} />`)}</ul>` : null}
      ${past.length ? html`<h3 class="section">${t('queue.past')}</h3><ul class="jobs">${past.slice(0, 60).map((/** @type {Job} */ job) => html`<${Ended} key=${job.id} app=${app} job=${job} />`)}</ul>` : null}
      ${queue.length || past.length ? null : html`<p class="none">${t('queue.empty')}</p>`}
    </div>`;
}

/** @param {any} app @param {Job} job */
function nameOf(app, job) {
  const doc = jobDoc(app, job);
  if (job.sweep) return [job.sweep.x, job.sweep.y].filter((value) => value !== null && value !== undefined).join(', ');
  return doc?.name.value ?? firstText(job.prompt) ?? job.id.slice(0, 8);
}

/** @param {any} app @param {Job} job */
function jobDoc(app, job) {
  return app.docs.value.find((/** @type {any} */ doc) => doc.id === (app.jobs.owners.get(job.id) ?? job.workflow?.id));
}

/** The prompt text of a job, to know it by. @param {Record<string, any>} prompt */
export function firstText(prompt) {
  const texts = Object.values(prompt ?? {}).filter((node) => /TextEncode|Prompt/i.test(node.class_type)).map((node) => Object.values(node.inputs ?? {}).find((value) => typeof value === 'string' && value.trim()));
  return /** @type {string|undefined} */ (texts.find(Boolean));
}

/** @param {{app: any, job: Job}} props */
function Live({ app, job }) {
  const { t } = app;
  const running = job.state === 'running';
  const doc = jobDoc(app, job);
  const progress = running && doc?.run.prompt.value === job.id ? doc.run.progress.value : null;
  const part = progress?.total ? (progress.done + (progress.max ? progress.value / progress.max : 0)) / progress.total : 0;
  const drop = (/** @type {any} */ event) => {
    const id = event.dataTransfer.getData('application/x-latent-loom-job');
    if (!id || id === job.id) return;
    event.preventDefault();
    app.jobs.move(id, running ? 'front' : 'before', running ? undefined : job.id).catch((/** @type {Error} */ error) => app.ui.toast(error.message, { kind: 'error' }));
  };
  return html`<li class=${`job ${job.state}`} draggable=${!running} onDragStart=${(/** @type {any} */ event) => event.dataTransfer.setData('application/x-latent-loom-job', job.id)} onDragOver=${(/** @type {any} */ event) => event.dataTransfer.types.includes('application/x-latent-loom-job') && event.preventDefault()} onDrop=${drop}>
    <div class="job-pic">${running ? html`<${Icon} name="loader" class="spin" />` : html`<${Icon} name="clock" />`}</div>
    <div class="job-text"><b>${nameOf(app, job)}</b><span>${running ? (progress?.label ? `${progress.label}${progress.max > 1 ? ` ${Math.round(progress.value)}/${progress.max}` : ''}` : t('queue.running')) : t('queue.waiting')}</span>
      ${running ? html`<div class="bar-line"><i style=${{ transform: `scaleX(${part})` }}></i></div>` : null}</div>
    <div class="job-acts">
      <${IconButton} icon="ellipsis" label=${t('more')} onClick=${(/** @type {any} */ event) => { const box = event.currentTarget.getBoundingClientRect(); app.ui.menu(waitingItems(app, job), [box.right - 200, box.bottom + 4]); }} />
      ${running ? null : html`<${IconButton} icon="skip-forward" label=${t('queue.front')} onClick=${() => app.jobs.move(job.id, 'front').catch((/** @type {Error} */ error) => app.ui.toast(error.message, { kind: 'error' }))} />`}
      <${IconButton} icon=${running ? 'square' : 'x'} label=${t(running ? 'cmd.stop' : 'queue.cancel')} onClick=${() => (running ? app.api.interrupt(job.id) : app.jobs.cancel([job.id]))} />
    </div>
  </li>`;
}

/** What can be done with a job that has not ended. @param {any} app @param {Job} job @returns {(import('./layers.js').MenuItem|'-')[]} */
function waitingItems(app, job) {
  const { t, jobs } = app;
  const waiting = jobs.queue.peek().filter((/** @type {Job} */ one) => one.state === 'pending');
  const at = waiting.indexOf(job);
  const move = (/** @type {string} */ place, /** @type {Job|undefined} */ other) => jobs.move(job.id, place, other?.id).catch((/** @type {Error} */ error) => app.ui.toast(error.message, { kind: 'error' }));
  const open = () => app.open(job.workflow ?? job.prompt, { name: nameOf(app, job).slice(0, 40) });
  /** @type {(import('./layers.js').MenuItem|'-')[]} */ const order = [
    { label: t('queue.front'), icon: 'skip-forward', disabled: at <= 0, run: () => move('front', undefined) },
    { label: t('queue.earlier'), icon: 'arrow-up', disabled: at <= 0, run: () => move('before', waiting[at - 1]) },
    { label: t('queue.later'), icon: 'arrow-down', disabled: at === waiting.length - 1, run: () => move('after', waiting[at + 1]) },
    '-',
  ];
  return [
    ...(job.state === 'pending' ? order : []),
    { label: t('queue.openWorkflow'), icon: 'workflow', run: open },
    ...(job.sweep ? [{ label: t('sweep.show'), icon: 'table', run: () => app.ui.dialog('sweepGrid', { id: job.sweep?.id }) }] : []),
    ...(job.state === 'pending' ? [{ label: t('queue.editInstead'), icon: 'pencil', run: () => jobs.cancel([job.id]).then(open) }, /** @type {const} */ ('-'), { label: t('queue.cancel'), icon: 'x', danger: true, run: () => jobs.cancel([job.id]) }] : []),
  ];
}

/** @param {{app: any, job: Job}} props */
function Ended({ app, job }) {
  const { t } = app;
  const media = mediaOf(job.outputs);
  const pictures = media.map(({ file, kind, path }) => ({ url: app.api.viewUrl(file), name: file.filename, file, kind, path, job }));
  const menu = (/** @type {any} */ event) => {
    event.preventDefault();
    app.ui.menu(jobItems(app, job), [event.clientX, event.clientY]);
  };
  const text = job.state === 'error' ? (job.error?.exception_message ?? t('queue.failed')).trim().split('\n')[0] : job.state === 'cancelled' ? t('queue.cancelled') : [duration(job.ms), ago(app, job.time)].filter(Boolean).join(' · ');
  return html`<li class=${`job ${job.state}`} onContextMenu=${menu}>
    <button type="button" class="job-pic" aria-label=${t('gallery.view', { name: nameOf(app, job) })} disabled=${!media.length} onClick=${() => app.ui.lightbox(pictures, 0)}>
      ${media[0]?.kind === 'image' ? html`<img src=${thumbUrl(app, media[0].file)} alt="" loading="lazy" />` : html`<${Icon} name=${job.state === 'error' ? 'circle-alert' : job.state === 'cancelled' ? 'circle-x' : media[0]?.kind === 'video' ? 'video' : media[0]?.kind === 'audio' ? 'music' : 'circle-check'} />`}
      ${media.length > 1 ? html`<em>${media.length}</em>` : null}
    </button>
    <div class="job-text"><b title=${nameOf(app, job)}>${nameOf(app, job)}</b><span title=${text}>${text}</span></div>
    <div class="job-acts">
      <${IconButton} icon="pencil" label=${t('queue.edit')} onClick=${() => openJob(app, job)} />
      <${IconButton} icon="repeat" label=${t('queue.again')} onClick=${() => again(app, job)} />
      <${IconButton} icon="ellipsis" label=${t('more')} onClick=${(/** @type {any} */ event) => { const box = event.currentTarget.getBoundingClientRect(); app.ui.menu(jobItems(app, job), [box.right - 200, box.bottom + 4]); }} />
    </div>
  </li>`;
}

/** Opens what a job ran, to be changed and run again. @param {any} app @param {Job} job */
function openJob(app, job) {
  return app.open(job.workflow ?? job.prompt, { name: (firstText(job.prompt) ?? app.t('doc.untitled')).slice(0, 40) });
}

/** Sends a job once more as it was. @param {any} app @param {Job} job */
async function again(app, job) {
  const id = crypto.randomUUID();
  if (job.workflow?.id) app.jobs.owners.set(id, job.workflow.id);
  try {
    await app.api.prompt({ prompt: job.prompt, prompt_id: id, extra_data: { extra_pnginfo: { workflow: job.workflow } } });
    app.jobs.refreshSoon();
  } catch (error) {
    app.ui.toast(error instanceof Error ? error.message : String(error), { kind: 'error' });
  }
}

/** @param {any} app @param {Job} job @returns {(import('./layers.js').MenuItem|'-')[]} */
export function jobItems(app, job) {
  const { t } = app;
  return [
    { label: t('queue.openWorkflow'), icon: 'workflow', run: () => openJob(app, job) },
    ...(job.sweep ? [{ label: t('sweep.show'), icon: 'table', run: () => app.ui.dialog('sweepGrid', { id: job.sweep?.id }) }] : []),
    { label: t('queue.again'), icon: 'repeat', run: () => again(app, job) },
    { label: t('queue.copyPrompt'), icon: 'clipboard', run: () => navigator.clipboard?.writeText(JSON.stringify(job.prompt, null, 2)) },
    '-',
    { label: t('queue.forget'), icon: 'trash-2', danger: true, run: () => app.jobs.forget([job.id]) },
  ];
}
