/** The canvas's own commands and their keys. */

import { quickConnect } from '../tools/quick.js';
import { loosen } from '../tools/move.js';
import { swapNode } from '../graph/copy.js';
import { fit, neighbour, reveal, search } from './acts.js';
import { bounds } from './mini.js';

/** @typedef {import('./stage.js').Stage} Stage */

const PAN = 80;

/** @param {Stage} stage @returns {() => void} */
export function addKeys(stage) {
  const { commands } = stage.app;
  if (!commands?.add) return () => {};
  const list = [...cameraKeys(stage), ...walkKeys(stage), ...wireKeys(stage), ...bookmarkKeys(stage)];
  const when = () => Boolean(stage.doc);
  const offs = list.map((command) => commands.add({ where: 'canvas', ...command, when: () => when() && (!command.when || command.when()) }));
  return () => offs.forEach((off) => typeof off === 'function' && off());
}

/** @typedef {{id: string, title: string, keys: string[], run: (app?: any, event?: KeyboardEvent) => void, when?: () => boolean, hidden?: boolean}} Command */

/** @param {Stage} stage @returns {Command[]} */
function cameraKeys(stage) {
  const zoom = (/** @type {number} */ factor) => {
    const { camera } = stage;
    camera.zoom(factor, camera.width / 2, camera.height / 2);
    stage.moved('zoom');
  };
  const pan = (/** @type {number} */ dx, /** @type {number} */ dy) => () => {
    stage.camera.pan(dx * PAN, dy * PAN);
    stage.moved('pan');
  };
  const free = () => !stage.doc.selection.nodes.size && !stage.doc.selection.groups.size && !stage.doc.selection.reroutes.size;
  return [
    { id: 'fit', title: 'view.fit', keys: ['.'], run: () => fit(stage, stage.doc.selection.nodes.size ? stage.doc.selection.nodes : undefined) },
    { id: 'view.all', title: 'view.all', keys: ['Home'], run: () => fit(stage) },
    { id: 'view.full', title: 'view.full', keys: ['0'], run: () => zoom(1 / stage.camera.scale) },
    { id: 'view.in', title: 'view.in', keys: ['Alt+=', 'Alt++'], run: () => zoom(1.25) },
    { id: 'view.out', title: 'view.out', keys: ['Alt+-'], run: () => zoom(0.8) },
    { id: 'view.left', title: 'view.left', keys: ['Left'], when: free, run: pan(1, 0) },
    { id: 'view.right', title: 'view.right', keys: ['Right'], when: free, run: pan(-1, 0) },
    { id: 'view.up', title: 'view.up', keys: ['Up'], when: free, run: pan(0, 1) },
    { id: 'view.down', title: 'view.down', keys: ['Down'], when: free, run: pan(0, -1) },
    { id: 'mode.select', title: 'cmd.modeSelect', keys: ['V'], run: (app) => app.prefs.set('canvas.select', true) },
    { id: 'mode.pan', title: 'cmd.modePan', keys: ['H'], run: (app) => app.prefs.set('canvas.select', false) },
    { id: 'view.minimap', title: 'view.minimap', keys: ['Alt+M'], run: (app) => app.prefs.set('canvas.minimap', app.prefs.get('canvas.minimap') === false) },
    { id: 'node.search', title: 'node.search', keys: ['Shift+A', 'Space'], run: () => search(stage) },
  ];
}

/** @param {Stage} stage @returns {Command[]} */
function walkKeys(stage) {
  const current = () => [...stage.doc.selection.nodes].at(-1);
  const go = (/** @type {import('../graph/model.js').Node | undefined} */ node, add = false) => {
    if (!node) return;
    stage.doc.select({ nodes: [node.id] }, add ? 'add' : 'set');
    reveal(stage, node.id);
    stage.app.ui.announce?.(node.label);
  };
  const tab = (/** @type {number} */ step) => () => {
    const order = [...stage.graph.list].sort((a, b) => a.pos[0] - b.pos[0] || a.pos[1] - b.pos[1]);
    if (!order.length) return;
    const at = order.findIndex((node) => node.id === current());
    go(order[(at + step + order.length) % order.length] ?? order[0]);
  };
  const arrows = ['Left', 'Right', 'Up', 'Down'].flatMap((key) => [false, true].map((add) => ({
    id: `walk.${key}${add ? '.add' : ''}`, title: `walk.${key}${add ? '.add' : ''}`, keys: [`${add ? 'Alt+Shift+' : 'Alt+'}${key}`],
    when: () => current() !== undefined, run: () => go(neighbour(stage, /** @type {any} */ (current()), key), add),
  })));
  return [
    { id: 'walk.next', title: 'walk.next', keys: ['Tab'], when: () => stage.graph.count > 0, run: tab(1) },
    { id: 'walk.back', title: 'walk.back', keys: ['Shift+Tab'], when: () => stage.graph.count > 0, run: tab(-1) },
    ...arrows,
  ];
}

/** @param {Stage} stage @returns {Command[]} */
function wireKeys(stage) {
  const chosen = () => [...stage.doc.selection.nodes].flatMap((id) => stage.graph.node(id) ?? []);
  return [
    { id: 'wire.quick', title: 'wire.quick', keys: ['F'], when: () => chosen().length > 1, run: () => void quickConnect(stage, chosen().sort((a, b) => a.pos[0] - b.pos[0])) },
    { id: 'wire.loosen', title: 'wire.loosen', keys: ['Shift+X'], when: () => chosen().length > 0, run: () => loosen(stage, [...stage.doc.selection.nodes]) },
    { id: 'arrange', title: 'menu.arrange', keys: ['Shift+L'], when: () => chosen().length > 1, run: (app) => arrange(stage, app) },
    { id: 'node.swap', title: 'node.swap', keys: ['Shift+R'], when: () => chosen().length === 1, run: () => swap(stage, chosen()[0]) },
  ];
}

/** A menu of ways to align and distribute, above the selection. @param {Stage} stage @param {any} app */
function arrange(stage, app) {
  const ids = ['left', 'centerX', 'right', 'top', 'centerY', 'bottom'].map((line) => `align.${line}`);
  const item = (/** @type {string} */ id) => ({ label: app.t(app.commands.all.get(id).title), run: () => app.commands.run(id) });
  const box = stage.element.getBoundingClientRect();
  const at = bounds(stage.graph, stage.doc.selection.nodes);
  const screen = stage.camera.toScreen(at?.x ?? 0, at?.y ?? 0);
  app.ui.menu([...ids.map(item), '-', item('distribute.x'), item('distribute.y')], [screen.x + box.left, screen.y + box.top]);
}

/** @param {Stage} stage @param {import('../graph/model.js').Node} node */
function swap(stage, node) {
  const at = stage.camera.toScreen(node.pos[0], node.pos[1]);
  stage.app.ui.palette({
    screen: [at.x, at.y],
    at: [...node.pos],
    replace: node.id,
    onPick: (/** @type {string} */ type) => {
      const made = stage.doc.edit(stage.app.t('node.swap'), (/** @type {any} */ e) => swapNode(e, node.id, type));
      if (made !== null && made !== undefined) stage.doc.select({ nodes: [made] });
    },
  });
}

/** Shift+1..9 keep a place, 1..9 go there. @param {Stage} stage @returns {Command[]} */
function bookmarkKeys(stage) {
  const places = () => (stage.places[stage.doc.id] ??= {});
  return Array.from({ length: 9 }, (_, i) => i + 1).flatMap((n) => [
    { id: `mark.set.${n}`, title: stage.app.t('mark.set', { n }), keys: [`Shift+${n}`], run: () => {
      places()[n] = stage.camera.save();
      stage.app.ui.toast(stage.app.t('mark.kept', { n }), { kind: 'ok' });
    } },
    { id: `mark.go.${n}`, title: stage.app.t('mark.go', { n }), keys: [String(n)], when: () => n in places(), run: () => {
      stage.camera.load(places()[n]);
      stage.moved('jump');
    } },
  ]);
}
