/** Files dropped or chosen: a workflow opens, a picture with a workflow opens it, other media become nodes. */

import { addNode, setValue } from '../graph/edit.js';
import { readFile } from '../file/read.js';
import { widgetNamed } from '../graph/model.js';

/** Which node loads which kind of file, and by what widget. */
const LOADERS = [
  { kind: 'image', type: 'LoadImage', widget: 'image' },
  { kind: 'video', type: 'LoadVideo', widget: 'file' },
  { kind: 'audio', type: 'LoadAudio', widget: 'audio' },
];

/** @param {any} app @param {File[]} files @param {{node?: any, at?: [number, number]}} where */
export async function dropFiles(app, files, { node, at }) {
  for (const [i, file] of files.entries()) {
    try {
      if (node !== undefined && (await intoNode(app, file, node))) continue;
      await openFile(app, file, at ? [at[0] + i * 30, at[1] + i * 30] : undefined);
    } catch (error) {
      app.ui.toast(app.t('drop.failed', { name: file.name, why: error instanceof Error ? error.message : String(error) }), { kind: 'error' });
    }
  }
}

/** A file dropped on a node that takes such files. @param {any} app @param {File} file @param {any} id @returns {Promise<boolean>} */
async function intoNode(app, file, id) {
  const doc = app.active.peek();
  const node = doc.graph.node(id);
  const widget = node?.widgets.find((/** @type {any} */ one) => one.options.upload);
  if (!node || !widget) return false;
  const name = await uploadInput(app, file);
  choose(app, widget, name);
  doc.edit(app.t('edit.file'), (/** @type {any} */ e) => setValue(e, node.id, widget.name, name));
  doc.emit('media', { id: node.id });
  return true;
}

/** @param {any} app @param {File} file @param {[number, number]} [at] */
export async function openFile(app, file, at) {
  const { workflow, prompt } = await readFile(file);
  const name = file.name.replace(/\.[^.]*$/, '');
  if (workflow) return app.open(workflow, { name });
  if (prompt) return app.open(prompt, { name });
  const loader = LOADERS.find(({ kind }) => file.type.startsWith(`${kind}/`));
  if (!loader || !app.defs.get(loader.type)) return app.ui.toast(app.t('drop.nothing', { name: file.name }), { kind: 'error' });
  const stored = await uploadInput(app, file);
  const doc = app.active.peek();
  const def = app.defs.get(loader.type);
  const widget = def.widgets.find((/** @type {any} */ one) => one.name === loader.widget);
  if (widget) choose(app, widget, stored);
  doc.edit(app.t('edit.add'), (/** @type {any} */ e) => {
    const node = addNode(e, loader.type, at ?? middle(app));
    if (widgetNamed(node, loader.widget)) setValue(e, node.id, loader.widget, stored);
    doc.select({ nodes: [node.id] });
  });
}

/** Makes a name choosable at once, before the server is asked again. @param {any} app @param {any} widget @param {string} name */
function choose(app, widget, name) {
  if (Array.isArray(widget.options.values) && !widget.options.values.includes(name)) widget.options.values.push(name);
  app.emit('defs');
}

/** @param {any} app @param {File} file @returns {Promise<string>} */
export async function uploadInput(app, file) {
  const { name, subfolder } = await app.api.upload(file);
  return subfolder ? `${subfolder}/${name}` : name;
}

/** Where something new goes that has no place of its own: near the middle of what one sees, and on nothing else. @param {any} app @returns {[number, number]} */
export function middle(app) {
  const [w, h] = app.canvas?.size ?? [800, 600];
  return freeNear(app.active.peek().graph, app.canvas?.worldAt([w / 2 - 110, h / 2 - 60]) ?? [0, 0]);
}

/** Room for a node of a usual size, title and a little air included. */
const ROOM = { left: 20, top: 50, right: 250, bottom: 230 };
const STEP = 60;
const RINGS = 14;

/** @param {import('../graph/model.js').Graph} graph @param {[number, number]} wanted @returns {[number, number]} the nearest free place, or the one wanted */
function freeNear(graph, [x, y]) {
  const boxes = graph.list.map((node) => graph.boxes.subarray(node.at * 4, node.at * 4 + 4));
  const free = (/** @type {number} */ u, /** @type {number} */ v) => boxes.every(([x0, y0, x1, y1]) => x1 < u - ROOM.left || x0 > u + ROOM.right || y1 < v - ROOM.top || y0 > v + ROOM.bottom);
  for (let ring = 0; ring <= RINGS; ring++) {
    for (let i = -ring; i <= ring; i++) {
      for (const [a, b] of [[i, ring], [i, -ring], [ring, i], [-ring, i]]) if (free(x + a * STEP, y + b * STEP)) return [x + a * STEP, y + b * STEP];
    }
  }
  return [x, y];
}
