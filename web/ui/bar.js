/** The top bar: the menu, the tabs, the run buttons. */

import { html } from '../vendor/preact.js';
import { Icon, IconButton } from './icon.js';
import { Tabs } from './tabs.js';
import { ProgressLine, RunBar } from './run.js';
import { commandItem } from './context.js';

/** @param {{app: any}} props */
export function Bar({ app }) {
  const { t } = app;
  const state = app.socket.state.value;
  return html`<header class="bar"><h1 class="spoken">Latent Loom</h1>
    <button type="button" class="logo" aria-label=${t('menu.label')} aria-haspopup="menu" onClick=${(/** @type {any} */ event) => mainMenu(app, event)}>
      <img src="icon.svg" width="22" height="22" alt="" /><${Icon} name="chevron-down" size=${12} />
    </button>
    <${Tabs} app=${app} />
    <div class="bar-end">
      ${state === 'open' ? null : html`<span class=${`link-state ${state}`} role="status">${t(`socket.${state}`)}</span>`}
      <${ErrorChip} app=${app} />
      <${IconButton} icon="undo-2" class="wide-only" label=${t('cmd.undo')} hint=${app.commands.hint('undo')} onClick=${() => app.commands.run('undo')} />
      <${IconButton} icon="redo-2" class="wide-only" label=${t('cmd.redo')} hint=${app.commands.hint('redo')} onClick=${() => app.commands.run('redo')} />
      <${IconButton} icon="app-window" label=${t('cmd.form')} hint=${app.commands.hint('form')} pressed=${app.formOpen.value} onClick=${() => app.commands.run('form')} />
      <${RunBar} app=${app} />
    </div>
    <${ProgressLine} app=${app} />
  </header>`;
}

/** @param {{app: any}} props */
function ErrorChip({ app }) {
  const errors = app.active.value.run.errors.value;
  if (!errors.length) return null;
  return html`<button type="button" class="error-chip" onClick=${() => app.prefs.set('panel.open', 'errors')}><${Icon} name="circle-alert" size=${14} />${errors.length}<span class="spoken">${app.t('errors.title')}</span></button>`;
}

/** @param {any} app @param {any} event */
function mainMenu(app, event) {
  const box = event.currentTarget.getBoundingClientRect();
  const { t } = app;
  /** @param {string[]} ids */
  const items = (ids) => ids.map((id) => (id === '-' ? /** @type {const} */ ('-') : commandItem(app, id)));
  app.ui.menu([
    ...items(['new', 'open', 'openWorkflow', '-', 'save', 'saveAs', 'download', 'exportPrompt', 'diff', '-']),
    { label: t('menu.edit'), icon: 'pencil', items: items(['undo', 'redo', '-', 'cut', 'copy', 'paste', 'duplicate', '-', 'selectAll', 'selectUp', 'selectDown', '-', 'tidy']) },
    { label: t('menu.view'), icon: 'eye', items: [...items(['theme', '-', 'form', 'stats', 'logs']), ...(app.commands.all.has('fit') ? items(['-', 'fit']) : [])] },
    '-',
    ...items(['commands', 'shortcuts', 'settings', ...(app.user ? ['-', 'signOut'] : [])]),
  ], [box.left, box.bottom + 6]);
}
