/** A workflow from the API form: nodes by id, laid out by what feeds what. */

import { Edit } from '../graph/record.js';
import { Workflow, widgetNamed } from '../graph/model.js';
import { addNode, connect, setPositions, setTitle, setValue } from '../graph/edit.js';
import { boxOf } from '../graph/shape.js';

/** @param {Record<string, any>} prompt @param {import('../graph/defs.js').Defs} defs @returns {Promise<{flow: Workflow, missing: string[]}>} */
export async function workflowFromPrompt(prompt, defs) {
  const flow = new Workflow(defs);
  const e = new Edit(flow, flow.root, 'Open');
  const missing = new Set();
  const ids = new Map();
  for (const [id, entry] of Object.entries(prompt)) {
    if (!defs.get(entry.class_type)) {
      missing.add(entry.class_type);
      continue;
    }
    const node = addNode(e, entry.class_type, [0, 0]);
    ids.set(id, node.id);
    if (entry._meta?.title && entry._meta.title !== node.label) setTitle(e, node.id, entry._meta.title);
  }
  for (const [id, entry] of Object.entries(prompt)) if (ids.has(id)) fill(e, ids.get(id), entry.inputs ?? {}, ids);
  e.settle();
  const boxes = [...flow.root.nodes.values()].map((node) => {
    const [x0, y0, x1, y1] = boxOf(node);
    return { id: node.id, w: x1 - x0, h: y1 - y0 };
  });
  const wires = [...flow.root.links.values()].map((link) => ({ from: link.from, to: link.to }));
  const { layout } = await import('../graph/tidy.js');
  if (boxes.length) setPositions(e, layout(boxes, wires).map(([id, [x, y]]) => [id, [x, y + 30]]));
  return { flow, missing: [...missing] };
}

/** @param {Edit} e @param {import('../graph/model.js').NodeId} id @param {Record<string, any>} inputs @param {Map<string, any>} ids */
function fill(e, id, inputs, ids) {
  const node = e.graph.node(id);
  if (!node) return;
  for (const [name, value] of Object.entries(inputs)) {
    const link = Array.isArray(value) && value.length === 2 && typeof value[0] === 'string' && ids.has(value[0]);
    if (!link) setValue(e, id, name, value?.__value__ ?? value);
    else {
      const slot = node.inputs.findIndex((one) => one.name === name);
      connect(e, { node: ids.get(value[0]), slot: value[1] }, { node: id, ...(slot >= 0 ? { slot } : widgetNamed(node, name) ? { widget: name } : { slot: -1 }) });
    }
  }
}
