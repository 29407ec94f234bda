/** The graph as a list with real form fields: the way in for the keyboard and for screen readers. */

import { html, useEffect, useMemo, useRef, useState } from '../vendor/preact.js';
import { connect, disconnect, removeItems, setMode, setValue } from '../graph/edit.js';
import { find } from '../graph/find.js';
import { socketOf } from '../graph/model.js';
import { downstream, fits, why } from '../graph/types.js';
import { Icon, IconButton } from './icon.js';
import { PanelHead, SearchField } from './panels.js';
import { TypeDot } from './nodecard.js';
import { Value } from './value.js';
import { mediaOf } from './media.js';
import { advice, follow, wordsOf } from '../canvas/advice.js';

/** @typedef {import('../graph/model.js').Node} Node */

const ROW = 28;

/** Nodes in reading order: what feeds comes before what is fed. @param {import('../graph/model.js').Graph} graph @returns {Node[]} */
function readingOrder(graph) {
  /** @type {Map<any, number>} */ const depth = new Map();
  const nodes = graph.sorted().sort((a, b) => a.pos[0] - b.pos[0] || a.pos[1] - b.pos[1]);
  const queue = nodes.filter((node) => node.inputs.every((slot) => slot.link === null));
  queue.forEach((node) => depth.set(node.id, 0));
  for (let i = 0; i < queue.length && i < 1e5; i++) {
    const at = depth.get(queue[i].id) ?? 0;
    for (const slot of queue[i].outputs) for (const id of slot.links ?? []) {
      const to = graph.node(graph.links.get(id)?.to ?? -1);
      if (to && (depth.get(to.id) ?? -1) < at + 1 && at < nodes.length) depth.set(to.id, at + 1), queue.push(to);
    }
  }
  return nodes.sort((a, b) => (depth.get(a.id) ?? 0) - (depth.get(b.id) ?? 0));
}

/** @param {{app: any, title: string}} props */
export function Outline({ app, title }) {
  const { t } = app;
  const doc = app.active.value;
  const rev = doc.rev.value;
  const trail = doc.trail.value;
  void doc.selected.value;
  const [query, setQuery] = useState('');
  const nodes = useMemo(() => readingOrder(doc.graph), [doc, rev, trail]);
  const shown = query ? find(nodes, (node) => `${node.label} ${node.type}`, query, { limit: 500 }).map((hit) => hit.item) : nodes;
  const [selected] = [...doc.selection.nodes];
  const node = selected === undefined ? undefined : doc.graph.node(selected);
  return html`<${PanelHead} app=${app} title=${title}><${IconButton} icon="plus" label=${t('menu.add')} onClick=${() => app.ui.palette({})} /><//>
    <${SearchField} label=${t('outline.search')} value=${query} onInput=${setQuery} />
    <${List} app=${app} doc=${doc} nodes=${shown} />
    ${node ? html`<${Details} key=${node.id} app=${app} doc=${doc} node=${node} />` : html`<p class="none">${t('outline.pick')}</p>`}`;
}

/** Only the rows in view exist. @param {{app: any, doc: any, nodes: Node[]}} props */
function List({ app, doc, nodes }) {
  const { t } = app;
  void doc.selected.value;
  void doc.run.progress.value;
  const ref = useRef(/** @type {any} */ (null));
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(400);
  useEffect(() => setHeight(ref.current?.clientHeight ?? 400), []);
  const first = Math.max(0, Math.floor(top / ROW) - 4);
  const last = Math.min(nodes.length, Math.ceil((top + height) / ROW) + 4);
  const [selected] = [...doc.selection.nodes];
  const at = nodes.findIndex((node) => node.id === selected);
  const go = (/** @type {number} */ i) => {
    const node = nodes[Math.max(0, Math.min(nodes.length - 1, i))];
    if (!node) return;
    doc.select({ nodes: [node.id] });
    app.canvas?.centerOn(node.id);
    const y = nodes.indexOf(node) * ROW;
    if (y < ref.current.scrollTop || y + ROW > ref.current.scrollTop + height) ref.current.scrollTop = y - height / 2;
  };
  const keydown = (/** @type {KeyboardEvent} */ event) => {
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: nodes.length - 1, PageDown: at + 10, PageUp: at - 10 }[event.key];
    if (to !== undefined) go(to);
    else if (event.key === 'Enter' && doc.flow.subs.has(nodes[at]?.type)) doc.enter(nodes[at].id);
    else if (event.key === 'Delete' && at >= 0) doc.edit(t('cmd.delete'), (/** @type {any} */ e) => removeItems(e, { nodes: [nodes[at].id] }));
    else return;
    event.preventDefault();
  };
  return html`<div class="outline-list" role="listbox" tabindex="0" aria-label=${t('panel.outline')} aria-activedescendant=${at >= 0 ? `outline-${selected}` : undefined} ref=${ref} onKeyDown=${keydown} onScroll=${(/** @type {any} */ event) => setTop(event.currentTarget.scrollTop)}>
    <div style=${{ height: `${nodes.length * ROW}px`, position: 'relative' }} role="presentation">
      ${nodes.slice(first, last).map((node, i) => html`<div key=${node.id} id=${`outline-${node.id}`} role="option" aria-selected=${doc.selection.nodes.has(node.id)} aria-setsize=${nodes.length} aria-posinset=${first + i + 1} class=${`outline-row mode-${node.mode}`} style=${{ top: `${(first + i) * ROW}px` }} onClick=${() => go(first + i)} onDblClick=${() => doc.enter(node.id)}>
        <i class="state" data-state=${doc.run.stateOf(doc, node.id).state}></i><span>${node.label}</span><em>#${node.id}</em>
      </div>`)}
    </div>
  </div>`;
}

/** @param {{app: any, doc: any, node: Node}} props */
function Details({ app, doc, node }) {
  const { t } = app;
  void doc.rev.value;
  void doc.run.progress.value;
  const graph = doc.graph;
  const sockets = node.inputs.map((slot, i) => ({ slot, i })).filter(({ slot }) => !slot.widget);
  const one = advice.value.get(node.id);
  const made = mediaOf({ x: doc.run.output(doc.key(node.id)) });
  return html`<section class="details" aria-label=${node.label}>
    <header><h3>${node.label}</h3>
      <${IconButton} icon="pencil" label=${t('cmd.rename')} onClick=${() => app.ui.rename({ kind: 'node', id: node.id })} />
      <${IconButton} icon="ban" label=${t('cmd.bypass')} pressed=${node.mode === 4} onClick=${() => doc.edit(t('cmd.bypass'), (/** @type {any} */ e) => setMode(e, [node.id], node.mode === 4 ? 0 : 4))} />
      <${IconButton} icon="trash-2" label=${t('cmd.delete')} onClick=${() => doc.edit(t('cmd.delete'), (/** @type {any} */ e) => removeItems(e, { nodes: [node.id] }))} />
    </header>
    ${node.def ? null : html`<p class="faint">${t('errors.missing')}: ${node.type}</p>`}
    ${one ? html`<p class="why">${wordsOf(app, one)} <button type="button" class="link" onClick=${() => follow(app, one)}>${t('advice.use')}</button></p>` : null}
    ${doc.run.notes.has(doc.key(node.id)) ? html`<p class="faint">${doc.run.notes.get(doc.key(node.id))}</p>` : null}
    ${sockets.map(({ slot, i }) => html`<${Socket} key=${`${slot.name}/${i}`} app=${app} doc=${doc} graph=${graph} node=${node} label=${slot.label ?? slot.name} type=${slot.type} link=${slot.link} to=${{ node: node.id, slot: i }} />`)}
    ${node.widgets.filter((widget) => !widget.hidden && widget.kind !== 'upload').map((widget) => {
      const at = socketOf(node, widget.name);
      const link = at >= 0 ? graph.link(node.inputs[at].link) : undefined;
      if (link) return html`<${Socket} key=${widget.name} app=${app} doc=${doc} graph=${graph} node=${node} label=${widget.label} type=${widget.type} link=${link.id} to=${{ node: node.id, widget: widget.name }} />`;
      return html`<${Value} key=${widget.name} app=${app} doc=${doc} node=${node} widget=${widget} onChange=${(/** @type {any} */ value) => doc.edit(t('edit.value'), (/** @type {any} */ e) => setValue(e, node.id, widget.name, value))} />`;
    })}
    ${node.outputs.length ? html`<p class="outs">${node.outputs.map((slot) => html`<span><${TypeDot} type=${slot.type} />${slot.label ?? slot.name} <em>${t('outline.links', { n: slot.links?.length ?? 0 })}</em></span>`)}</p>` : null}
    ${(doc.run.output(doc.key(node.id))?.files ?? []).map((/** @type {any} */ file) => html`<p><button type="button" class="link" onClick=${() => app.ui.dialog('page', { file })}>${file.filename}</button></p>`)}
    ${made.length ? html`<div class="made">${made.filter(({ kind }) => kind === 'image').slice(0, 4).map(({ file }) => html`<button type="button" onClick=${() => app.ui.lightbox([{ url: app.api.viewUrl(file), name: file.filename, file }])}><img src=${app.api.viewUrl(file, { preview: 'webp;75' })} alt=${t('outline.result', { name: file.filename })} /></button>`)}</div>` : null}
  </section>`;
}

/** An input socket as a choice among the outputs that fit. @param {{app: any, doc: any, graph: any, node: Node, label: string, type: string, link: any, to: any}} props */
function Socket({ app, doc, graph, label, type, link: id, to }) {
  const { t } = app;
  const link = graph.link(id);
  /** @type {{key: string, from: any, label: string}[]} */ const options = [];
  const after = downstream(graph, to.node);
  for (const other of graph.nodes.values()) {
    other.outputs.forEach((/** @type {any} */ slot, /** @type {number} */ i) => {
      const from = { node: other.id, slot: i };
      const current = link && link.from === other.id && link.fromSlot === i;
      if (current || (!after.has(other.id) && fits(slot.type, type))) options.push({ key: `${other.id}/${i}`, from, label: `${other.label} › ${slot.label ?? slot.name}` });
    });
  }
  graph.inputs.forEach((/** @type {any} */ port, /** @type {number} */ i) => {
    if (why(graph, { node: -10, slot: i }, to) === null) options.push({ key: `-10/${i}`, from: { node: -10, slot: i }, label: `${t('sub.inputs')} › ${port.label ?? port.name}` });
  });
  const change = (/** @type {any} */ event) => {
    const chosen = options.find((option) => option.key === event.target.value);
    doc.edit(t(chosen ? 'edit.connect' : 'slot.cut'), (/** @type {any} */ e) => (chosen ? connect(e, chosen.from, to) : link && disconnect(e, link.id)));
  };
  const no = link && app.canvas?.stage.reason(link.id);
  return html`<label class="value"><span><${TypeDot} type=${type} />${label}</span><select value=${link ? `${link.from}/${link.fromSlot}` : ''} aria-describedby=${no ? `why-${link.id}` : undefined} onChange=${change}><option value="">${t('outline.nothing')}</option>${options.map((option) => html`<option value=${option.key}>${option.label}</option>`)}</select></label>${no ? html`<p class="why" id=${`why-${link.id}`}>${t(no.key, no.vars)}</p>` : null}`;
}
