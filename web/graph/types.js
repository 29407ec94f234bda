/** Which sockets fit together, and why two of them do not. */

/** @param {unknown} type @returns {string} */
function text(type) {
  return Array.isArray(type) ? 'COMBO' : String(type ?? '*');
}

/** The single types of a union. @param {unknown} type @returns {string[]} */
export function typesOf(type) {
  return text(type).split(',').map((part) => part.trim()).filter(Boolean);
}

/** @param {unknown} type */
export function isAny(type) {
  const name = text(type);
  return name === '*' || name === '' || name === 'ANY' || name === '-1' || name === '0';
}

/** Whether an output of one type may feed an input of another. @param {unknown} out @param {unknown} input */
export function fits(out, input) {
  if (isAny(out) || isAny(input)) return true;
  const wanted = new Set(typesOf(input).map((name) => name.toLowerCase()));
  return typesOf(out).some((name) => wanted.has(name.toLowerCase()));
}

/** Same type, not merely compatible. @param {unknown} out @param {unknown} input */
export function equalTypes(out, input) {
  return text(out).toLowerCase() === text(input).toLowerCase();
}

/** A steady hue for a type nobody has chosen a colour for. @param {unknown} type @returns {number} degrees */
export function hueOf(type) {
  let hash = 2166136261;
  for (const letter of text(type)) hash = Math.imul(hash ^ letter.charCodeAt(0), 16777619);
  return (hash >>> 0) % 360;
}

/** A type as people read it: "CLIP_VISION_OUTPUT" is "Clip vision output". @param {unknown} type */
export function readable(type) {
  if (isAny(type)) return 'anything';
  return typesOf(type).join(' or ').replaceAll('_', ' ').toLowerCase();
}

/** @typedef {{key: string, vars?: Record<string, string|number>}} Reason a text of the words file and what goes into it */

/**
 * Why an output cannot feed an input, or null if it can.
 * @param {import('./model.js').Graph} graph
 * @param {{node: import('./model.js').NodeId, slot: number}} from
 * @param {{node: import('./model.js').NodeId, slot?: number, widget?: string}} to
 * @param {boolean} [sure] it is known to make no loop
 * @returns {Reason|null}
 */
export function why(graph, from, to, sure = false) {
  if (!sure && from.node === to.node) return { key: 'why.itself' };
  const out = from.node === -10 ? (graph.inputs[from.slot]?.type ?? '*') : graph.node(from.node)?.outputs[from.slot]?.type;
  if (out === undefined) return { key: 'why.noOutput' };
  const input = typeAt(graph, to);
  if (input === undefined) return { key: 'why.noInput' };
  if (!fits(out, input)) return { key: 'why.types', vars: { gives: readable(out), takes: readable(input) } };
  if (!sure && loops(graph, from, to)) return { key: 'why.loop' };
  return null;
}

/** @param {import('./model.js').Graph} graph @param {{node: import('./model.js').NodeId, slot?: number, widget?: string}} to @returns {string|undefined} */
export function typeAt(graph, to) {
  if (to.node === -20) return graph.outputs[to.slot ?? -1]?.type ?? '*';
  const node = graph.node(to.node);
  if (!node) return undefined;
  if (to.widget !== undefined) return node.widgets.find((widget) => widget.name === to.widget)?.type;
  return node.inputs[to.slot ?? -1]?.type;
}

/**
 * Whether a wire would make a loop: what comes in at its end already leaves at its beginning. An instance of a subgraph
 * lets through only what is joined inside, so a selection with a node between its nodes can be one instance.
 * @param {import('./model.js').Graph} graph @param {{node: import('./model.js').NodeId, slot: number}} from @param {{node: import('./model.js').NodeId, slot?: number}} to
 */
export function loops(graph, from, to) {
  /** @type {[import('./model.js').NodeId, number|undefined][]} */ const stack = [[to.node, to.slot]];
  const seen = new Set();
  for (let at = stack.pop(); at; at = stack.pop()) {
    const [id, slot] = at;
    const node = graph.node(id);
    if (!node || seen.has(`${id}/${slot}`)) continue;
    seen.add(`${id}/${slot}`);
    for (const out of through(graph, node, slot)) {
      if (node.id === from.node && out === from.slot) return true;
      for (const link of node.outputs[out]?.links ?? []) {
        const next = graph.links.get(link);
        if (next) stack.push([next.to, next.toSlot]);
      }
    }
  }
  return false;
}

/** The outputs of a node that what comes in at an input may leave at. @param {import('./model.js').Graph} graph @param {import('./model.js').Node} node @param {number|undefined} slot @param {number} [depth] @returns {Iterable<number>} */
function through(graph, node, slot, depth = 0) {
  const sub = graph.flow.subs.get(node.type);
  const port = sub && slot !== undefined ? sub.inputs.findIndex((one) => one.name === node.inputs[slot]?.name) : -1;
  if (!sub || port < 0 || depth > 16) return node.outputs.keys();
  /** @type {Set<number>} */ const found = new Set();
  const stack = [...sub.inputs[port].linkIds];
  const seen = new Set(stack);
  for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
    const link = sub.links.get(id);
    if (link?.to === -20) found.add(link.toSlot);
    const inner = link && sub.node(link.to);
    if (!link || !inner) continue;
    for (const out of through(sub, inner, link.toSlot, depth + 1)) for (const next of inner.outputs[out]?.links ?? []) if (!seen.has(next)) seen.add(next), stack.push(next);
  }
  return found;
}

/** A node and all it feeds. @param {import('./model.js').Graph} graph @param {import('./model.js').NodeId} from */
export function downstream(graph, from) {
  const stack = [from];
  const seen = new Set(stack);
  for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
    for (const slot of graph.node(id)?.outputs ?? []) {
      for (const link of slot.links ?? []) {
        const next = graph.links.get(link)?.to;
        if (next !== undefined && !seen.has(next)) seen.add(next), stack.push(next);
      }
    }
  }
  return seen;
}
