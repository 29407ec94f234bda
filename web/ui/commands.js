/** The commands that need only the model; the canvas adds its own. */

import * as edit from '../graph/edit.js';
import { copyItems, duplicate, swapNode } from '../graph/copy.js';
import { makeSubgraph, unpack } from '../graph/sub.js';
import { copy, cut, listenToClipboard, paste } from './clipboard.js';
import { chooseFiles, exportPrompt, openWorkflow, save, saveAs, download } from './files.js';
import { runFrom } from './run.js';
import { tidy } from './tidy.js';

/** @typedef {import('../store/doc.js').Doc} Doc */
/** @typedef {import('./keys.js').Command} Command */

/** @param {any} app @returns {Doc} */
const active = (app) => app.active.peek();
/** @param {any} app @returns {any[]} */
const picked = (app) => [...active(app).selection.nodes];
/** @param {any} app */
const any = (app) => active(app).selection.nodes.size > 0;
/** @param {any} app */
const anything = (app) => any(app) || active(app).selection.groups.size > 0 || active(app).selection.reroutes.size > 0;

/** @param {any} app @param {number} mode */
function toggleMode(app, mode) {
  const doc = active(app);
  const ids = picked(app);
  const on = ids.some((id) => doc.graph.node(id)?.mode !== mode);
  doc.edit(app.t(mode === 2 ? 'cmd.mute' : 'cmd.bypass'), (e) => edit.setMode(e, ids, on ? mode : 0));
}

/** @param {any} app @param {'collapsed'|'pinned'} flag */
function toggleFlag(app, flag) {
  const doc = active(app);
  const ids = picked(app);
  const on = ids.some((id) => !doc.graph.node(id)?.flags[flag]);
  doc.edit(app.t(`cmd.${flag === 'collapsed' ? 'collapse' : 'pin'}`), (e) => edit.setFlag(e, ids, flag, on));
}

/** @param {any} app @param {boolean} heal */
function remove(app, heal) {
  const doc = active(app);
  const { nodes, groups, reroutes } = doc.selection;
  doc.edit(app.t(heal ? 'cmd.deleteHeal' : 'cmd.delete'), (e) => edit.removeItems(e, { nodes: [...nodes], groups: [...groups], reroutes: [...reroutes] }, { heal }));
}

/** @param {any} app @param {number} dx @param {number} dy */
function nudge(app, dx, dy) {
  const doc = active(app);
  doc.edit(app.t('cmd.nudge'), (e) => edit.moveItems(e, { nodes: [...doc.selection.nodes], groups: [...doc.selection.groups], reroutes: [...doc.selection.reroutes] }, dx, dy));
}

/** @param {any} app @param {'in'|'out'} side */
function selectAlong(app, side) {
  const doc = active(app);
  const found = new Set(picked(app));
  const queue = [...found];
  while (queue.length) {
    const id = queue.pop();
    for (const link of edit.linksOf(doc.graph, id)) {
      const other = side === 'in' ? (link.to === id ? link.from : null) : link.from === id ? link.to : null;
      if (other !== null && !found.has(other) && doc.graph.node(other)) found.add(other), queue.push(other);
    }
  }
  doc.select({ nodes: found });
}

/** @param {any} app */
function group(app) {
  const doc = active(app);
  const made = doc.edit(app.t('cmd.group'), (e) => (any(app) ? edit.groupAround(e, picked(app)) : undefined));
  if (made) void app.ui.rename({ kind: 'group', id: made.id });
}

/** @param {any} app */
function ungroup(app) {
  const doc = active(app);
  const groups = [...doc.selection.groups];
  doc.edit(app.t('cmd.ungroup'), (e) => edit.removeItems(e, { groups }));
}

/** @param {any} app */
function toSubgraph(app) {
  const doc = active(app);
  const node = doc.edit(app.t('cmd.subgraph'), (e) => makeSubgraph(e, picked(app), app.t('sub.name')));
  if (node) doc.select({ nodes: [node.id] });
}

/** Keeps an instance of a subgraph for other workflows. @param {any} app */
async function publish(app) {
  const doc = active(app);
  const [id] = picked(app);
  const name = (await app.ui.ask(app.t('sub.publishAsk'), doc.graph.node(id)?.label))?.trim().replaceAll('/', '-');
  if (!name) return;
  try {
    await app.parts.publish(name, copyItems(doc.graph, { nodes: [id] }));
    app.ui.toast(app.t('sub.published', { name }), { kind: 'ok' });
  } catch (error) {
    app.ui.toast(app.t('save.failed', { why: error instanceof Error ? error.message : String(error) }), { kind: 'error' });
  }
}

/** @param {any} app */
function unpackSelected(app) {
  const doc = active(app);
  const made = doc.edit(app.t('cmd.unpack'), (e) => picked(app).flatMap((id) => unpack(e, id)));
  doc.select({ nodes: made });
}

/** @param {any} app */
function duplicateSelected(app) {
  const doc = active(app);
  const made = doc.edit(app.t('cmd.duplicate'), (e) => duplicate(e, { nodes: picked(app), groups: [...doc.selection.groups] }, [30, 30], { links: true }));
  doc.select(made);
}

/** @param {any} app @returns {boolean} */
const onInstance = (app) => picked(app).some((id) => active(app).flow.subs.has(active(app).graph.node(id)?.type ?? ''));

/** @param {any} app @returns {Command[]} */
function editing(app) {
  const lines = ['left', 'right', 'top', 'bottom', 'centerX', 'centerY'];
  return [
    { id: 'undo', title: 'cmd.undo', keys: ['Ctrl+Z'], where: 'canvas', icon: 'undo-2', run: () => said(app, active(app).undo(), 'undone') },
    { id: 'redo', title: 'cmd.redo', keys: ['Ctrl+Y', 'Ctrl+Shift+Z'], where: 'canvas', icon: 'redo-2', run: () => said(app, active(app).redo(), 'redone') },
    { id: 'delete', title: 'cmd.delete', keys: ['Delete', 'Backspace'], where: 'canvas', icon: 'trash-2', when: anything, run: () => remove(app, false) },
    { id: 'deleteHeal', title: 'cmd.deleteHeal', keys: ['Ctrl+Delete', 'Ctrl+Backspace'], where: 'canvas', when: any, run: () => remove(app, true) },
    { id: 'copy', title: 'cmd.copy', keys: ['Ctrl+C'], where: 'canvas', native: true, icon: 'copy', when: anything, run: () => copy(app) },
    { id: 'cut', title: 'cmd.cut', keys: ['Ctrl+X'], where: 'canvas', native: true, icon: 'scissors', when: anything, run: () => cut(app) },
    { id: 'paste', title: 'cmd.paste', keys: ['Ctrl+V'], where: 'canvas', native: true, icon: 'clipboard', run: () => paste(app, {}) },
    { id: 'pasteLinks', title: 'cmd.pasteLinks', keys: ['Ctrl+Shift+V'], where: 'canvas', native: true, run: () => paste(app, { links: true }) },
    { id: 'duplicate', title: 'cmd.duplicate', keys: ['Ctrl+D'], where: 'canvas', icon: 'layers', when: anything, run: () => duplicateSelected(app) },
    { id: 'selectAll', title: 'cmd.selectAll', keys: ['Ctrl+A'], where: 'canvas', run: () => active(app).select({ nodes: active(app).graph.nodes.keys(), groups: active(app).graph.groups.keys(), reroutes: active(app).graph.reroutes.keys() }) },
    { id: 'selectUp', title: 'cmd.selectUp', keys: ['['], where: 'canvas', when: any, run: () => selectAlong(app, 'in') },
    { id: 'selectDown', title: 'cmd.selectDown', keys: [']'], where: 'canvas', when: any, run: () => selectAlong(app, 'out') },
    { id: 'mute', title: 'cmd.mute', keys: ['Ctrl+M'], where: 'canvas', icon: 'volume-x', when: any, run: () => toggleMode(app, 2) },
    { id: 'bypass', title: 'cmd.bypass', keys: ['Ctrl+B'], where: 'canvas', icon: 'ban', when: any, run: () => toggleMode(app, 4) },
    { id: 'collapse', title: 'cmd.collapse', keys: ['Alt+C'], where: 'canvas', icon: 'chevron-up', when: any, run: () => toggleFlag(app, 'collapsed') },
    { id: 'pin', title: 'cmd.pin', keys: ['P'], where: 'canvas', icon: 'pin', when: any, run: () => toggleFlag(app, 'pinned') },
    { id: 'rename', title: 'cmd.rename', keys: ['F2'], where: 'canvas', icon: 'pencil', when: any, run: () => app.ui.rename({ kind: 'node', id: picked(app)[0] }) },
    { id: 'group', title: 'cmd.group', keys: ['Ctrl+G'], where: 'canvas', icon: 'group', when: any, run: () => group(app) },
    { id: 'ungroup', title: 'cmd.ungroup', keys: ['Ctrl+Shift+G'], where: 'canvas', icon: 'ungroup', when: () => active(app).selection.groups.size > 0, run: () => ungroup(app) },
    { id: 'subgraph', title: 'cmd.subgraph', keys: ['Ctrl+Shift+E'], where: 'canvas', icon: 'package', when: any, run: () => toSubgraph(app) },
    { id: 'enter', title: 'cmd.enter', keys: ['Enter'], where: 'canvas', when: onInstance, run: () => active(app).enter(picked(app)[0]) },
    { id: 'leave', title: 'cmd.leave', keys: ['Escape'], where: 'canvas', when: () => active(app).trail.peek().length > 0 && !anything(app), run: () => active(app).leave() },
    { id: 'deselect', title: 'cmd.deselect', keys: ['Escape'], where: 'canvas', when: anything, run: () => active(app).select({}) },
    { id: 'unpack', title: 'cmd.unpack', keys: [], where: 'canvas', when: onInstance, run: () => unpackSelected(app) },
    { id: 'publish', title: 'cmd.publish', where: 'canvas', icon: 'share-2', when: onInstance, run: () => publish(app) },
    { id: 'tidy', title: 'cmd.tidy', keys: ['L'], where: 'canvas', icon: 'wand-sparkles', run: () => tidy(app) },
    { id: 'recreate', title: 'cmd.recreate', where: 'canvas', icon: 'refresh-cw', when: any, run: () => active(app).edit(app.t('cmd.recreate'), (e) => { for (const id of picked(app)) swapNode(e, id, active(app).graph.node(id)?.type ?? ''); }) },
    ...lines.map((line) => /** @type {Command} */ ({ id: `align.${line}`, title: `align.${line}`, where: 'canvas', when: any, run: () => active(app).edit(app.t(`align.${line}`), (e) => edit.align(e, picked(app), /** @type {any} */ (line))) })),
    ...['x', 'y'].map((axis) => /** @type {Command} */ ({ id: `distribute.${axis}`, title: `distribute.${axis}`, where: 'canvas', when: any, run: () => active(app).edit(app.t(`distribute.${axis}`), (e) => edit.distribute(e, picked(app), /** @type {any} */ (axis))) })),
    ...[['Left', -1, 0], ['Right', 1, 0], ['Up', 0, -1], ['Down', 0, 1]].flatMap(([name, x, y]) => [
      /** @type {Command} */ ({ id: `nudge.${name}`, title: 'cmd.nudge', hidden: true, keys: [String(name)], where: 'canvas', when: anything, run: () => nudge(app, Number(x) * 10, Number(y) * 10) }),
      /** @type {Command} */ ({ id: `nudge1.${name}`, title: 'cmd.nudge', hidden: true, keys: [`Shift+${name}`], where: 'canvas', when: anything, run: () => nudge(app, Number(x), Number(y)) }),
    ]),
  ];
}

/** @param {any} app @param {import('../graph/record.js').Patch|undefined} patch @param {string} how */
function said(app, patch, how) {
  if (patch) app.ui.announce(app.t(`say.${how}`, { what: patch.label }));
}

/** @param {any} app @returns {Command[]} */
function around(app) {
  const panels = { queue: 'Q', workflows: 'W', nodes: 'N', models: 'M', gallery: 'A', outline: 'O', errors: '' };
  return [
    { id: 'run', title: 'cmd.run', keys: ['Ctrl+Enter'], where: 'app', icon: 'play', run: () => app.jobs.run(active(app), { count: app.prefs.get('run.count') }) },
    { id: 'runFront', title: 'cmd.runFront', keys: ['Ctrl+Shift+Enter'], where: 'app', icon: 'skip-forward', run: () => app.jobs.run(active(app), { front: true, count: app.prefs.get('run.count') }) },
    { id: 'stop', title: 'cmd.stop', keys: ['Ctrl+Alt+Enter'], where: 'app', icon: 'square', run: () => app.jobs.stop() },
    { id: 'runTo', title: 'cmd.runTo', keys: ['Alt+Enter'], where: 'canvas', icon: 'play', when: any, run: () => runFrom(app, picked(app)) },
    { id: 'save', title: 'cmd.save', keys: ['Ctrl+S'], where: 'app', icon: 'save', run: () => save(app) },
    { id: 'saveAs', title: 'cmd.saveAs', keys: ['Ctrl+Shift+S'], where: 'app', run: () => saveAs(app) },
    { id: 'open', title: 'cmd.open', keys: ['Ctrl+O'], where: 'app', icon: 'folder-open', run: () => chooseFiles(app) },
    { id: 'new', title: 'cmd.new', keys: ['Alt+N'], where: 'app', icon: 'plus', run: () => app.blank() },
    { id: 'close', title: 'cmd.close', keys: ['Alt+W'], where: 'app', icon: 'x', run: () => app.close(active(app)) },
    { id: 'reopen', title: 'cmd.reopen', keys: [], where: 'app', when: () => Boolean(app.closed), run: () => app.open(app.closed.data, app.closed) },
    { id: 'download', title: 'cmd.download', where: 'app', icon: 'download', run: () => download(app) },
    { id: 'exportPrompt', title: 'cmd.exportPrompt', where: 'app', icon: 'file-json', run: () => exportPrompt(app) },
    { id: 'diff', title: 'cmd.diff', where: 'app', icon: 'history', run: () => app.ui.dialog('diff', {}) },
    { id: 'sweep', title: 'cmd.sweep', keys: ['Alt+S'], where: 'app', icon: 'table', run: () => app.ui.dialog('sweep', {}) },
    { id: 'form', title: 'cmd.form', keys: ['Alt+A'], where: 'app', icon: 'app-window', run: () => (app.formOpen.value = !app.formOpen.peek()) },
    { id: 'commands', title: 'cmd.commands', keys: ['Ctrl+K'], where: 'app', icon: 'command', run: () => (app.ui.commandsOpen.value = true) },
    { id: 'shortcuts', title: 'cmd.shortcuts', keys: ['Ctrl+Shift+K', '?'], where: 'app', icon: 'keyboard', run: () => app.ui.dialog('settings', { page: 'keys' }) },
    { id: 'settings', title: 'cmd.settings', keys: ['Ctrl+,'], where: 'app', icon: 'settings', run: () => app.ui.dialog('settings', {}) },
    { id: 'logs', title: 'cmd.logs', where: 'app', icon: 'terminal', run: () => app.ui.dialog('logs', {}) },
    { id: 'stats', title: 'cmd.stats', where: 'app', icon: 'gauge', run: () => app.ui.dialog('stats', {}) },
    { id: 'theme', title: 'cmd.theme', where: 'app', icon: 'moon', run: () => app.prefs.set('theme', document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark') },
    { id: 'reloadDefs', title: 'cmd.reloadDefs', keys: ['R'], where: 'canvas', icon: 'rotate-cw', run: () => app.reloadDefs().then(() => app.ui.toast(app.t('say.reloaded'), { kind: 'ok' })) },
    { id: 'signOut', title: 'cmd.signOut', where: 'app', icon: 'log-out', when: () => app.user !== null, run: () => app.signOut() },
    { id: 'clearErrors', title: 'cmd.clearErrors', where: 'app', run: () => active(app).run.clearErrors() },
    ...Object.entries(panels).map(([panel, key]) => /** @type {Command} */ ({ id: `panel.${panel}`, title: `panel.${panel}`, keys: key ? [key] : [], where: 'canvas', icon: 'panel-left', run: () => app.ui.togglePanel(panel, true) })),
    { id: 'nextTab', title: 'cmd.nextTab', keys: ['Alt+PageDown'], where: 'app', run: () => stepTab(app, 1) },
    { id: 'lastTab', title: 'cmd.lastTab', keys: ['Alt+PageUp'], where: 'app', run: () => stepTab(app, -1) },
    { id: 'region', title: 'cmd.region', keys: ['F6'], where: 'app', run: () => nextRegion(app) },
    { id: 'openWorkflow', title: 'cmd.openWorkflow', where: 'app', icon: 'workflow', run: () => openWorkflow(app) },
  ];
}

/** From the bar to the panel to the canvas and round again: the way out of a canvas that keeps Tab for itself. @param {any} app */
function nextRegion(app) {
  const regions = ['.bar', '.rail', '.panel', '#canvas'].map((name) => document.querySelector(name)).filter((one) => one !== null);
  const at = regions.findIndex((one) => one.contains(document.activeElement));
  const next = /** @type {HTMLElement} */ (regions[(at + 1) % regions.length]);
  if (next.id === 'canvas') app.canvas?.focus();
  else if (next.tabIndex >= -1 && next.hasAttribute('tabindex')) next.focus();
  else /** @type {HTMLElement|null} */ (next.querySelector('button, input'))?.focus();
}

/** @param {any} app @param {number} by */
function stepTab(app, by) {
  const docs = app.docs.peek();
  const at = docs.indexOf(active(app));
  app.activate(docs[(at + by + docs.length) % docs.length]);
}

/** @param {any} app */
export function addCommands(app) {
  for (const command of [...editing(app), ...around(app)]) app.commands.add(command);
  listenToClipboard(app);
}
