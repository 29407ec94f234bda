/** Sends a picture to a node that loads pictures. */

import { addNode, setValue } from '../graph/edit.js';
import { middle, uploadInput } from './drop.js';

/** @param {any} app @param {File} file @param {any} [id] an existing node; without it a new one is made @param {[number, number]} [at] */
export async function dropOnNew(app, file, id, at) {
  const name = await uploadInput(app, file);
  const doc = app.active.peek();
  const def = app.defs.get('LoadImage');
  const values = def?.widgets.find((/** @type {any} */ widget) => widget.options.image)?.options.values;
  if (Array.isArray(values) && !values.includes(name)) values.push(name);
  doc.edit(app.t('edit.file'), (/** @type {any} */ e) => {
    const node = id === undefined ? addNode(e, 'LoadImage', at ?? middle(app)) : doc.graph.node(id);
    const widget = node?.widgets.find((/** @type {any} */ one) => one.options.image);
    if (!node || !widget) return;
    setValue(e, node.id, widget.name, name);
    doc.select({ nodes: [node.id] });
    doc.emit('media', { id: node.id });
  });
  app.ui.toast(app.t('gallery.sent', { name }), { kind: 'ok' });
}
