/** Open documents as tabs. */

import { html, useEffect, useRef } from '../vendor/preact.js';
import { Icon, IconButton } from './icon.js';

/** @param {{app: any}} props */
export function Tabs({ app }) {
  const { t } = app;
  const docs = app.docs.value;
  const active = app.active.value;
  const strip = useRef(/** @type {any} */ (null));
  useEffect(() => strip.current?.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' }), [active]);
  return html`<div class="tabs">
    <div class="tab-strip" role="tablist" aria-label=${t('tabs.label')} ref=${strip}>
      ${docs.map((/** @type {any} */ doc) => html`<${Tab} key=${doc.id} app=${app} doc=${doc} on=${doc === active} />`)}
    </div>
    <${IconButton} icon="plus" class="tab-new" label=${t('cmd.new')} hint=${app.commands.hint('new')} onClick=${() => app.blank()} />
  </div>`;
}

/** @param {{app: any, doc: any, on: boolean}} props */
function Tab({ app, doc, on }) {
  const { t } = app;
  const running = doc.run.prompt.value !== null;
  const name = doc.name.value;
  const menu = (/** @type {any} */ event) => {
    event.preventDefault();
    app.ui.menu([
      { label: t('tab.rename'), icon: 'pencil', run: () => rename(app, doc) },
      { label: t('tab.duplicate'), icon: 'copy', run: () => app.open({ ...doc.toJson(), id: crypto.randomUUID() }, { name: `${name} ${t('tab.copy')}` }) },
      '-',
      { label: t('cmd.close'), icon: 'x', key: app.commands.hint('close'), run: () => app.close(doc) },
      { label: t('tab.closeOthers'), disabled: app.docs.value.length < 2, run: () => app.docs.value.filter((/** @type {any} */ other) => other !== doc).forEach((/** @type {any} */ other) => app.close(other)) },
    ], [event.clientX, event.clientY]);
  };
  const keydown = (/** @type {KeyboardEvent} */ event) => {
    const docs = app.docs.value;
    const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (event.key === 'Delete') app.close(doc);
    if (!by) return;
    const next = docs[(docs.indexOf(doc) + by + docs.length) % docs.length];
    app.activate(next);
    requestAnimationFrame(() => /** @type {any} */ (document.querySelector('.tab [aria-selected=true]'))?.focus());
  };
  return html`<div role="presentation" class=${`tab ${on ? 'on' : ''}`} onContextMenu=${menu} onAuxClick=${(/** @type {any} */ event) => event.button === 1 && app.close(doc)}>
    <button type="button" role="tab" aria-selected=${on} tabindex=${on ? 0 : -1} title=${doc.file.value ?? name} onClick=${() => app.activate(doc)} onDblClick=${() => rename(app, doc)} onKeyDown=${keydown}>
      ${running ? html`<i class="dot running" aria-label=${t('tab.running')}></i>` : doc.dirty.value && doc.file.value ? html`<i class="dot" aria-label=${t('tab.dirty')}></i>` : null}
      <span>${name}</span>
    </button>
    <button type="button" class="tab-close" tabindex="-1" aria-hidden="true" title=${t('tab.close', { name })} onClick=${() => app.close(doc)}><${Icon} name="x" size=${13} /></button>
  </div>`;
}

/** @param {any} app @param {any} doc */
async function rename(app, doc) {
  const name = await app.ui.ask(app.t('tab.rename'), doc.name.peek());
  if (!name?.trim()) return;
  const file = doc.file.peek();
  const path = `${name.trim().replace(/\.json$/, '')}.json`;
  try {
    if (file && file !== path) {
      await app.files.move(file, path);
      doc.file.value = path;
    }
    doc.name.value = name.trim();
    await app.drafts.save(doc);
  } catch (error) {
    app.ui.toast(app.t('save.failed', { why: error instanceof Error ? error.message : String(error) }), { kind: 'error' });
  }
}
