/**
 * A subgraph seen from outside: the definition of its instances. A port whose inside end is a widget is itself a widget
 * of the instance, with a value of its own; older files list such widgets in properties.proxyWidgets instead.
 */

import { INPUTS } from './model.js';

/** @typedef {import('./model.js').Graph} Graph */
/** @typedef {import('./model.js').Node} Node */
/** @typedef {import('./model.js').Widget} Widget */

/** @param {Graph} graph @returns {import('./defs.js').NodeDef} */
export function subDef(graph) {
  const inputs = graph.inputs.map((slot, i) => ({ name: slot.name, type: slot.type, required: false, socket: !innerWidget(graph, i), options: {} }));
  const outputs = graph.outputs.map((slot) => ({ name: slot.label ?? slot.name, type: slot.type, list: false }));
  const description = graph.extra.BlueprintDescription ?? graph.rest.description ?? '';
  return { type: graph.id, title: graph.name, category: 'subgraphs', description, inputs, outputs, widgets: [], isOutput: false, deprecated: false, experimental: false, virtual: false, dynamic: true, aliases: [], module: 'subgraph' };
}

/** The widget inside that a port feeds, if it feeds one. @param {Graph} graph @param {number} index @returns {{node: Node, widget: Widget}|null} */
export function innerWidget(graph, index) {
  for (const id of graph.inputs[index]?.linkIds ?? []) {
    const link = graph.links.get(id);
    const node = link && link.from === INPUTS ? graph.node(link.to) : undefined;
    const name = node?.inputs[link?.toSlot ?? -1]?.widget?.name;
    const widget = node?.widgets.find((one) => one.name === name);
    if (node && widget) return { node, widget };
  }
  return null;
}

/** Widgets of an instance. @param {Node} host @param {Graph} graph @returns {Widget[]} */
export function hostWidgets(host, graph) {
  /** @type {Widget[]} */ const widgets = [];
  graph.inputs.forEach((slot, i) => {
    const inner = innerWidget(graph, i);
    if (!inner) return;
    widgets.push({ ...inner.widget, name: slot.name, label: slot.label ?? slot.name, key: widgets.length, source: inner, silent: false });
  });
  for (const [id, name] of host.properties.proxyWidgets ?? []) {
    const node = graph.node(id);
    const widget = node?.widgets.find((one) => one.name === name);
    const linked = node?.inputs.some((slot) => slot.widget?.name === name && slot.link !== null);
    if (node && widget && !linked) widgets.push({ ...widget, name: `${id}.${name}`, label: widget.label, key: widgets.length, source: { node, widget } });
  }
  return widgets;
}
