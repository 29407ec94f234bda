/** The button under a combo of files: picks a file, sends it to the server and selects it. */

import { drawButton } from './button.js';
import { set } from './field.js';

/** @typedef {import('../canvas/stage.js').Stage} Stage */
/** @typedef {import('./field.js').Target} Target */

/** The combo that holds the file's name. @param {import('../graph/model.js').Node} node */
export function fileCombo(node) {
  return node.widgets.find((widget) => widget.kind === 'combo' && (widget.options.image || widget.options.upload)) ?? node.widgets.find((widget) => widget.kind === 'combo');
}

/** @param {Stage} stage @param {Target} target */
function open(stage, target) {
  const input = document.createElement('input');
  input.type = 'file';
  input.accept = String(target.widget.options.accept ?? 'image/*');
  input.addEventListener('change', () => {
    const file = input.files?.[0];
    if (file) void send(stage, target.node, file);
  });
  input.click();
}

/** Uploads a file and makes it the value of the node's combo. @param {Stage} stage @param {import('../graph/model.js').Node} node @param {File} file */
export async function send(stage, node, file) {
  const combo = fileCombo(node);
  if (!combo) return;
  try {
    const saved = await stage.app.api.upload(file, { type: 'input', subfolder: '' });
    const name = saved.subfolder ? `${saved.subfolder}/${saved.name}` : saved.name;
    const values = combo.options.values;
    if (Array.isArray(values) && !values.includes(name)) values.unshift(name);
    set(stage, { node, widget: combo, box: { x: 0, y: 0, w: 0, h: 0 } }, name);
  } catch (error) {
    stage.app.ui.toast(`${file.name}: ${error instanceof Error ? error.message : error}`, { kind: 'error' });
  }
}

/** @type {import('./field.js').Kind} */
export const upload = {
  draw: (field) => drawButton(field, field.look.t('button.upload')),
  open,
  press: (stage, target) => ({ name: 'upload', move() {}, end: (p) => (p.still ? open(stage, target) : undefined), cancel() {} }),
};
