/** What a right click, or a long press, offers on each thing of the canvas. */

import * as edit from '../graph/edit.js';
import { promote, removePort, renamePort } from '../graph/sub.js';
import { valueOf, widgetNamed } from '../graph/model.js';
import { saveToDisk } from './files.js';

/** @typedef {import('./layers.js').MenuItem} MenuItem */

/** @param {any} app @param {any} target @returns {(MenuItem|'-')[]} */
export function contextItems(app, target) {
  const doc = app.active.peek();
  if (target.kind === 'node' && !doc.selection.nodes.has(target.id)) doc.select({ nodes: [target.id] });
  const items = { canvas: canvasItems, node: nodeItems, link: linkItems, slot: slotItems, group: groupItems, reroute: rerouteItems, widget: widgetItems }[/** @type {'canvas'} */ (target.kind)];
  return items?.(app, target) ?? [];
}

/** A menu line that runs a command. @param {any} app @param {string} id @returns {MenuItem} */
export function commandItem(app, id) {
  const command = app.commands.all.get(id);
  return { label: app.t(command?.title ?? id), icon: command?.icon, key: app.commands.hint(id), disabled: !(command?.when?.(app) ?? true), run: () => app.commands.run(id) };
}

/** @param {any} app @param {any} target @returns {(MenuItem|'-')[]} */
function canvasItems(app, { at }) {
  return [
    { label: app.t('menu.add'), icon: 'plus', run: () => app.ui.palette({ at }) },
    { label: app.t('menu.addGroup'), icon: 'square-dashed', run: () => app.active.peek().edit(app.t('menu.addGroup'), (/** @type {any} */ e) => edit.addGroup(e, [at[0], at[1], 400, 260])) },
    { label: app.t('menu.addNote'), icon: 'sticky-note', run: () => app.active.peek().edit(app.t('menu.addNote'), (/** @type {any} */ e) => edit.addNode(e, 'MarkdownNote', at)) },
    '-',
    commandItem(app, 'paste'), commandItem(app, 'selectAll'), commandItem(app, 'tidy'), commandItem(app, 'fit'),
    '-',
    commandItem(app, 'undo'), commandItem(app, 'redo'),
  ];
}

/** @param {any} app @param {any} target @returns {(MenuItem|'-')[]} */
function nodeItems(app, { id }) {
  const doc = app.active.peek();
  const node = doc.graph.node(id);
  if (!node) return [];
  const many = doc.selection.nodes.size > 1;
  const sub = doc.flow.subs.has(node.type);
  const lines = ['left', 'right', 'top', 'bottom', 'centerX', 'centerY'].map((line) => commandItem(app, `align.${line}`));
  /** @type {(MenuItem|'-')[]} */ const items = [
    ...pictureItems(app, doc, node),
    ...(sub ? [commandItem(app, 'enter'), commandItem(app, 'unpack'), commandItem(app, 'publish'), /** @type {const} */ ('-')] : []),
    commandItem(app, 'runTo'),
    '-',
    commandItem(app, 'rename'),
    { label: app.t('menu.color'), icon: 'palette', items: colorItems(app) },
    commandItem(app, 'mute'), commandItem(app, 'bypass'), commandItem(app, 'collapse'), commandItem(app, 'pin'),
    '-',
    { label: app.t('menu.swap'), icon: 'replace', run: () => app.ui.palette({ replace: id }) },
    commandItem(app, 'recreate'),
    ...(many ? [{ label: app.t('menu.arrange'), icon: 'align-start-vertical', items: [...lines, commandItem(app, 'distribute.x'), commandItem(app, 'distribute.y'), commandItem(app, 'tidy')] }] : []),
    commandItem(app, 'group'), commandItem(app, 'subgraph'),
    '-',
    commandItem(app, 'copy'), commandItem(app, 'duplicate'),
    { ...commandItem(app, 'delete'), danger: true },
  ];
  return items;
}

/** @param {any} app @returns {MenuItem[]} */
function colorItems(app) {
  const doc = app.active.peek();
  /** @param {string|null} name */
  const paint = (name) => doc.edit(app.t('menu.color'), (/** @type {any} */ e) => edit.setColor(e, doc.selection.nodes, name));
  return [{ label: app.t('color.none'), run: () => paint(null) }, ...Object.keys(edit.NODE_COLORS).map((name) => ({ label: app.t(`color.${name}`), run: () => paint(name) }))];
}

/** @param {any} app @param {any} doc @param {any} node @returns {(MenuItem|'-')[]} */
function pictureItems(app, doc, node) {
  const key = doc.key(node.id);
  const [shown] = doc.run.output(key)?.images ?? [];
  const [before] = doc.run.last(key)?.images ?? [];
  const loads = node.widgets.find((/** @type {any} */ widget) => widget.options.image);
  /** @type {(MenuItem|'-')[]} */ const items = [];
  if (node.type === 'MarkdownNote' || node.type === 'Note') items.push({ label: app.t('note.read'), icon: 'file-text', run: () => app.ui.dialog('note', { id: node.id }) });
  if (shown) {
    items.push({ label: app.t('image.open'), icon: 'maximize', run: () => app.ui.lightbox([{ url: app.api.viewUrl(shown), name: shown.filename, file: shown }]) });
    items.push({ label: app.t('image.save'), icon: 'download', run: () => saveToDisk(app.api.viewUrl(shown), shown.filename) });
    if (before) items.push({ label: app.t('image.compare'), icon: 'columns-2', run: () => app.ui.compare(app.api.viewUrl(before), app.api.viewUrl(shown)) });
  }
  if (loads) items.push({ label: app.t('mask.open'), icon: 'brush', run: () => app.ui.mask(node.id) });
  return items.length ? [...items, '-'] : [];
}

/** @param {any} app @param {any} target @returns {(MenuItem|'-')[]} */
function linkItems(app, { id, at }) {
  const doc = app.active.peek();
  return [
    { label: app.t('link.insert'), icon: 'plus', run: () => app.ui.palette({ at, onPick: (/** @type {string} */ type) => insert(app, doc, type, id, at) }) },
    { label: app.t('link.reroute'), icon: 'circle-dot', run: () => doc.edit(app.t('link.reroute'), (/** @type {any} */ e) => edit.addReroute(e, id, at)) },
    { label: app.t('link.delete'), icon: 'unlink', danger: true, run: () => doc.edit(app.t('link.delete'), (/** @type {any} */ e) => edit.disconnect(e, id)) },
  ];
}

/** @param {any} app @param {any} doc @param {string} type @param {number} link @param {[number, number]} at */
function insert(app, doc, type, link, at) {
  doc.edit(app.t('link.insert'), (/** @type {any} */ e) => edit.insertOnLink(e, link, edit.addNode(e, type, [at[0] - 100, at[1]]).id));
}

/** @param {any} app @param {any} target @returns {(MenuItem|'-')[]} */
function slotItems(app, { node, side, slot }) {
  const doc = app.active.peek();
  if (node === -10 || node === -20) return portItems(app, doc, node === -10 ? 'in' : 'out', slot);
  return [{ label: app.t('slot.cut'), icon: 'unlink', run: () => doc.edit(app.t('slot.cut'), (/** @type {any} */ e) => edit.disconnectSlot(e, { node, side, slot })) }];
}

/** @param {any} app @param {any} doc @param {'in'|'out'} side @param {number} slot @returns {(MenuItem|'-')[]} */
function portItems(app, doc, side, slot) {
  const port = (side === 'in' ? doc.graph.inputs : doc.graph.outputs)[slot];
  if (!port) return [];
  const rename = async () => {
    const label = await app.ui.ask(app.t('rename.ask'), port.label ?? port.name);
    if (label?.trim()) doc.edit(app.t('edit.rename'), (/** @type {any} */ e) => renamePort(e, side, slot, label.trim()));
  };
  return [
    { label: app.t('cmd.rename'), icon: 'pencil', run: rename },
    { label: app.t('port.remove'), icon: 'trash-2', danger: true, run: () => doc.edit(app.t('port.remove'), (/** @type {any} */ e) => removePort(e, side, slot)) },
  ];
}

/** @param {any} app @param {any} target @returns {(MenuItem|'-')[]} */
function groupItems(app, { id }) {
  const doc = app.active.peek();
  const inside = () => edit.insideGroup(doc.graph, id).nodes;
  /** @param {string} label @param {number} mode */
  const mode = (label, mode) => ({ label: app.t(label), run: () => doc.edit(app.t(label), (/** @type {any} */ e) => edit.setMode(e, inside(), mode)) });
  return [
    { label: app.t('cmd.rename'), icon: 'pencil', run: () => app.ui.rename({ kind: 'group', id }) },
    { label: app.t('group.select'), icon: 'square-mouse-pointer', run: () => doc.select({ nodes: inside(), groups: [id] }) },
    { label: app.t('group.fit'), icon: 'maximize', run: () => fitGroup(app, doc, id, inside()) },
    { label: app.t('menu.color'), icon: 'palette', items: Object.entries(GROUP_COLORS).map(([name, color]) => ({ label: app.t(`color.${name}`), run: () => doc.edit(app.t('menu.color'), (/** @type {any} */ e) => edit.setGroup(e, id, { color })) })) },
    '-',
    mode('group.mute', 2), mode('group.bypass', 4), mode('group.on', 0),
    '-',
    { label: app.t('cmd.ungroup'), icon: 'ungroup', danger: true, run: () => doc.edit(app.t('cmd.ungroup'), (/** @type {any} */ e) => edit.removeItems(e, { groups: [id] })) },
  ];
}

const GROUP_COLORS = { pale: '#3f789e', blue: '#88a', green: '#8a8', red: '#a88', yellow: '#b58b2a', purple: '#a1309b', cyan: '#8aa', black: '#444' };

/** @param {any} app @param {any} doc @param {number} id @param {any[]} nodes */
function fitGroup(app, doc, id, nodes) {
  const box = edit.boxAround(doc.graph, nodes);
  if (box) doc.edit(app.t('group.fit'), (/** @type {any} */ e) => edit.setGroup(e, id, { box: [box[0] - 10, box[1] - 44, box[2] - box[0] + 20, box[3] - box[1] + 54] }));
}

/** @param {any} app @param {any} target @returns {(MenuItem|'-')[]} */
function rerouteItems(app, { id }) {
  const doc = app.active.peek();
  return [{ label: app.t('reroute.remove'), icon: 'trash-2', danger: true, run: () => doc.edit(app.t('reroute.remove'), (/** @type {any} */ e) => edit.removeItems(e, { reroutes: [id] })) }];
}

/** @param {any} app @param {any} target @returns {(MenuItem|'-')[]} */
function widgetItems(app, { node: id, name }) {
  const doc = app.active.peek();
  const node = doc.graph.node(id);
  const widget = node && widgetNamed(node, name);
  if (!node || !widget) return [];
  const inSub = doc.graph.id !== '';
  const chosen = (doc.flow.root.extra.linearData?.inputs ?? []).some((/** @type {any} */ [one, other]) => String(one) === String(id) && other === name);
  /** @type {(MenuItem|'-')[]} */ const items = [
    { label: app.t('widget.copy'), icon: 'copy', run: () => navigator.clipboard?.writeText(String(valueOf(node, widget))) },
    { label: app.t('widget.reset'), icon: 'rotate-cw', run: () => doc.edit(app.t('widget.reset'), (/** @type {any} */ e) => edit.setValue(e, id, name, widget.source ? undefined : widget.options.default)) },
    { label: app.t('widget.primitive'), icon: 'cable', run: () => makePrimitive(app, doc, node, name) },
    { label: app.t('widget.sweep'), icon: 'table', run: () => app.ui.dialog('sweep', { path: doc.key(id), name }) },
  ];
  if (!inSub) items.push({ label: app.t(chosen ? 'widget.unform' : 'widget.form'), icon: 'app-window', run: () => toggleForm(app, doc, id, name) });
  if (inSub && !node.inputs.some((/** @type {any} */ slot) => slot.widget?.name === name && slot.link !== null)) items.push({ label: app.t('widget.promote'), icon: 'corner-up-left', run: () => doc.edit(app.t('widget.promote'), (/** @type {any} */ e) => promote(e, id, name)) });
  return [...items, '-', ...nodeItems(app, { id })];
}

/** @param {any} app @param {any} doc @param {any} node @param {string} name */
function makePrimitive(app, doc, node, name) {
  doc.edit(app.t('widget.primitive'), (/** @type {any} */ e) => {
    const made = edit.addNode(e, 'PrimitiveNode', [node.pos[0] - 260, node.pos[1]]);
    edit.connect(e, { node: made.id, slot: 0 }, { node: node.id, widget: name });
  });
}

/** Puts a widget on the form of app mode, or takes it off. @param {any} app @param {any} doc @param {any} id @param {string} name */
export function toggleForm(app, doc, id, name) {
  const root = doc.flow.root;
  const data = root.extra.linearData ?? { inputs: [], outputs: [] };
  const inputs = data.inputs ?? [];
  const others = inputs.filter((/** @type {any} */ [one, other]) => !(String(one) === String(id) && other === name));
  const next = others.length === inputs.length ? [...inputs, [id, name]] : others;
  doc.edit(app.t('widget.form'), (/** @type {any} */ e) => e.change({ g: '', op: 'graph=', set: { extra: { ...root.extra, linearData: { ...data, inputs: next } } } }));
}
