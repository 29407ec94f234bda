/** Every command by name, with its shortcut. */

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from '../vendor/preact.js';
import { find } from '../graph/find.js';
import { Icon } from './icon.js';
import { Marked } from './nodecard.js';

/** @param {{app: any}} props */
export function CommandPalette({ app }) {
  return app.ui.commandsOpen.value ? html`<${Open} app=${app} />` : null;
}

/** @param {{app: any}} props */
function Open({ app }) {
  const { t } = app;
  const [query, setQuery] = useState('');
  const [at, setAt] = useState(0);
  const input = useRef(/** @type {any} */ (null));
  const list = useRef(/** @type {any} */ (null));
  const before = useRef(document.activeElement);
  const commands = useMemo(() => [...app.commands.all.values()].filter((command) => !command.hidden), []);
  const hits = useMemo(() => find(commands, (command) => `${t(command.title)}\u0001 ${command.id}`, query, { limit: 80 }), [query]);
  useLayoutEffect(() => input.current?.focus(), []);
  useEffect(() => list.current?.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' }), [at]);
  const close = () => {
    app.ui.commandsOpen.value = false;
    app.ui.refocus(before.current);
  };
  const pick = (/** @type {any} */ command) => {
    close();
    app.commands.run(command.id);
  };
  const keydown = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step) setAt(Math.max(0, Math.min(hits.length - 1, at + step)));
    else if (event.key === 'Enter' && hits[at]) pick(hits[at].item);
    else if (event.key === 'Escape') close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return html`<div class="shade" onPointerDown=${(/** @type {any} */ event) => event.target === event.currentTarget && close()}>
    <div class="palette narrow" role="dialog" aria-label=${t('cmd.commands')} onKeyDown=${keydown}>
      <div class="palette-head"><${Icon} name="command" />
        <input ref=${input} type="text" role="combobox" aria-expanded="true" aria-controls="command-list" aria-activedescendant=${`command-${at}`} aria-label=${t('cmd.commands')} placeholder=${t('commands.hint')} value=${query} spellcheck="false" onInput=${(/** @type {any} */ event) => { setQuery(event.target.value); setAt(0); }} />
      </div>
      <div class="palette-list" id="command-list" role="listbox" aria-label=${t('cmd.commands')} ref=${list}>
        ${hits.map(({ item, marks }, i) => html`<div role="option" id=${`command-${i}`} aria-selected=${i === at} aria-disabled=${!(item.when?.(app) ?? true)} class="hit command" key=${item.id} onPointerMove=${() => setAt(i)} onClick=${() => pick(item)}>
          <${Icon} name=${item.icon ?? 'chevron-right'} size=${14} class="faint" /><span class="hit-name"><${Marked} text=${t(item.title)} marks=${marks} /></span>${app.commands.hint(item.id) ? html`<kbd>${app.commands.hint(item.id)}</kbd>` : null}
        </div>`)}
        ${hits.length ? null : html`<p class="none">${t('palette.none')}</p>`}
      </div>
    </div>
  </div>`;
}
