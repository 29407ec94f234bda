import assert from 'node:assert/strict';
import test from 'node:test';
import { Edit, applyAll } from '../graph/record.js';
import * as edit from '../graph/edit.js';
import { duplicate, swapNode, copyItems, pasteFragment } from '../graph/copy.js';
import { makeSubgraph, promote, removePort, unpack } from '../graph/sub.js';
import { History } from '../graph/undo.js';
import { boxOf } from '../graph/shape.js';
import { valueOf, widgetNamed } from '../graph/model.js';
import { workflowFromJson, workflowToJson } from '../graph/json.js';
import { dice, mutate, txt2img } from './fixture.js';

/** What must hold of any graph. @param {import('../graph/model.js').Graph} graph */
function sound(graph) {
  for (const link of graph.links.values()) {
    if (link.from !== -10) assert.ok(graph.node(link.from)?.outputs[link.fromSlot]?.links?.includes(link.id), `link ${link.id} at its origin`);
    if (link.to !== -20) assert.equal(graph.node(link.to)?.inputs[link.toSlot]?.link, link.id, `link ${link.id} at its target`);
  }
  for (const node of graph.nodes.values()) {
    assert.equal(graph.list[node.at], node);
    for (const slot of node.inputs) assert.ok(slot.link === null || graph.links.has(/** @type {number} */ (slot.link)));
    for (const slot of node.outputs) for (const id of slot.links ?? []) assert.ok(graph.links.has(id));
    assert.deepEqual([...graph.boxes.slice(node.at * 4, node.at * 4 + 4)], boxOf(node).map(Math.fround), `box of ${node.type}`);
  }
  assert.equal(graph.count, graph.nodes.size);
}

test('any edits, undone, leave the same file; redone, the same file again', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = dice(seed);
    const { flow } = txt2img();
    const history = new History();
    const states = [JSON.stringify(workflowToJson(flow))];
    for (let i = 0; i < 25; i++) {
      const e = new Edit(flow, flow.root, `edit ${i}`);
      mutate(e, random);
      if (random() < 0.3) mutate(e, random);
      e.settle();
      for (const graph of flow.graphs()) sound(graph);
      if (e.done.length) states.push(JSON.stringify(workflowToJson(flow)));
      history.push(e.patch());
    }
    const n = history.past.length;
    for (let i = n; i > 0; i--) {
      const patch = history.undo();
      if (patch) applyAll(flow, patch.undo);
      assert.deepEqual(JSON.parse(JSON.stringify(workflowToJson(flow))), JSON.parse(states[i - 1]), `seed ${seed}: undo of step ${i} (${patch?.do.map((c) => c.op)})`);
    }
    for (let i = 1; i <= n; i++) {
      const patch = history.redo();
      if (patch) applyAll(flow, patch.do);
      assert.deepEqual(JSON.parse(JSON.stringify(workflowToJson(flow))), JSON.parse(states[i]), `seed ${seed}: redo of step ${i}`);
    }
  }
});

test('a gesture of many values is one change', () => {
  const { flow, sampler } = txt2img();
  const e = new Edit(flow, flow.root, 'drag');
  for (let i = 0; i < 100; i++) edit.setValue(e, sampler.id, 'cfg', i), e.settle();
  assert.equal(e.patch().do.length, 1);
  assert.ok(JSON.stringify(e.patch()).length < 1000);
  e.rollback();
  const cfg = widgetNamed(sampler, 'cfg');
  assert.ok(cfg && valueOf(sampler, cfg) === 8);
});

test('an input keeps only its newest link, a loop is refused, types must fit', () => {
  const { flow, loader, good, sampler, decode } = txt2img();
  const e = new Edit(flow, flow.root);
  assert.equal(edit.connect(e, { node: loader.id, slot: 0 }, { node: decode.id, slot: 0 }), null);
  const before = flow.root.links.size;
  assert.ok(edit.connect(e, { node: good.id, slot: 0 }, { node: sampler.id, slot: 2 }));
  assert.equal(flow.root.links.size, before);
  const any = edit.addNode(e, 'Any', [0, 0]);
  assert.ok(edit.connect(e, { node: sampler.id, slot: 0 }, { node: any.id, slot: 0 }));
  assert.equal(edit.connect(e, { node: any.id, slot: 0 }, { node: sampler.id, slot: 3 }), null);
});

test('a widget gets its socket when it is wired, and not before', () => {
  const { flow, sampler } = txt2img();
  const e = new Edit(flow, flow.root);
  const slots = sampler.inputs.length;
  const primitive = edit.addNode(e, 'PrimitiveNode', [0, 0]);
  assert.ok(edit.connect(e, { node: primitive.id, slot: 0 }, { node: sampler.id, widget: 'steps' }));
  e.settle();
  assert.equal(sampler.inputs.length, slots + 1);
  assert.equal(primitive.outputs[0].type, 'INT');
  assert.deepEqual(primitive.values, [20, 'fixed']);
  assert.equal(primitive.widgets[0].name, 'value');
});

test('removing a node with heal passes its wires through', () => {
  const { flow, loader, sampler } = txt2img();
  const e = new Edit(flow, flow.root);
  const lora = edit.addNode(e, 'LoraLoader', [0, 0]);
  const link = flow.root.link(sampler.inputs[0].link);
  assert.ok(link && edit.insertOnLink(e, link.id, lora.id));
  assert.equal(flow.root.link(sampler.inputs[0].link)?.from, lora.id);
  edit.removeItems(e, { nodes: [lora.id] }, { heal: true });
  assert.equal(flow.root.link(sampler.inputs[0].link)?.from, loader.id);
});

test('swapping keeps values of the same name and wires that fit', () => {
  const { flow, sampler, decode } = txt2img();
  const e = new Edit(flow, flow.root);
  edit.setValue(e, sampler.id, 'steps', 33);
  const id = swapNode(e, sampler.id, 'KSampler');
  const fresh = id === null ? undefined : flow.root.node(id);
  assert.ok(fresh);
  const steps = widgetNamed(fresh, 'steps');
  assert.ok(steps && valueOf(fresh, steps) === 33);
  assert.equal(flow.root.link(decode.inputs[0].link)?.from, id);
});

test('a subgraph made and unpacked computes the same, nested too', async () => {
  const { graphToPrompt } = await import('../graph/prompt.js');
  const { flow, good, bad, sampler, latent } = txt2img();
  const shape = (/** @type {any} */ prompt) => {
    /** @type {(id: string, depth?: number) => string} */
    const key = (id, depth = 0) => (depth > 9 ? '' : JSON.stringify([prompt[id].class_type, Object.entries(prompt[id].inputs).sort().map(([k, v]) => [k, Array.isArray(v) ? [key(v[0], depth + 1), v[1]] : v])]));
    return Object.keys(prompt).map((id) => key(id)).sort();
  };
  const before = shape(graphToPrompt(flow));
  const e = new Edit(flow, flow.root);
  const inner = makeSubgraph(e, [sampler.id, latent.id], 'Sample');
  e.settle();
  assert.deepEqual(shape(graphToPrompt(flow)), before);
  const outer = inner && makeSubgraph(e, [inner.id, good.id, bad.id], 'All');
  e.settle();
  assert.deepEqual(shape(graphToPrompt(flow)), before);
  assert.ok(Object.keys(graphToPrompt(flow)).some((id) => id.split(':').length === 3));
  const again = workflowFromJson(JSON.parse(JSON.stringify(workflowToJson(flow))), flow.defs);
  assert.deepEqual(shape(graphToPrompt(again)), before);
  assert.ok(outer);
  const ids = unpack(e, outer.id);
  e.settle();
  const host = ids.map((id) => flow.root.node(id)).find((node) => node && flow.subs.has(node.type));
  assert.ok(host);
  unpack(e, host.id);
  e.settle();
  assert.deepEqual(shape(graphToPrompt(flow)), before);
});

test('packing and unpacking, nested anyhow, never changes what is sent', async () => {
  const { graphToPrompt } = await import('../graph/prompt.js');
  for (let seed = 1; seed <= 40; seed++) {
    const random = dice(seed);
    const { flow, sampler, decode } = txt2img();
    const e = new Edit(flow, flow.root);
    // A value that comes by wire, and a bend in a wire, must survive as well.
    const primitive = edit.addNode(e, 'PrimitiveNode', [-300, 0]);
    edit.connect(e, { node: primitive.id, slot: 0 }, { node: sampler.id, widget: 'steps' });
    edit.addReroute(e, /** @type {number} */ (decode.inputs[0].link), [5, 5]);
    e.settle();
    const before = sentShape(graphToPrompt(flow));
    /** @type {string[]} */ const history = [];
    for (let i = 0; i < 8; i++) {
      const graphs = flow.graphs().filter((graph) => graph.nodes.size);
      const graph = graphs[Math.floor(random() * graphs.length)];
      const hosts = graph.list.filter((node) => flow.subs.has(node.type));
      e.within(graph, () => {
        if (hosts.length && random() < 0.4) return void (history.push('unpack'), unpack(e, hosts[Math.floor(random() * hosts.length)].id));
        const ids = graph.list.filter(() => random() < 0.5).map((node) => node.id);
        if (ids.length) history.push(`pack ${ids.length}`), makeSubgraph(e, ids);
      });
      e.settle();
      for (const one of flow.graphs()) sound(one);
      assert.deepEqual(sentShape(graphToPrompt(flow)), before, `seed ${seed}: ${history}`);
    }
    const again = workflowFromJson(JSON.parse(JSON.stringify(workflowToJson(flow))), flow.defs);
    assert.deepEqual(sentShape(graphToPrompt(again)), before, `seed ${seed}: read again`);
    e.rollback();
  }
});

/** What a prompt computes, whatever its nodes are called. @param {any} prompt */
function sentShape(prompt) {
  /** @type {(id: string, depth?: number) => string} */
  const key = (id, depth = 0) => (depth > 9 ? '' : JSON.stringify([prompt[id].class_type, Object.entries(prompt[id].inputs).sort().map(([k, v]) => [k, Array.isArray(v) ? [key(v[0], depth + 1), v[1]] : v])]));
  return Object.keys(prompt).map((id) => key(id)).sort();
}

test('a promoted widget has a value of its own on each instance', async () => {
  const { graphToPrompt } = await import('../graph/prompt.js');
  const { flow, sampler, latent } = txt2img();
  const e = new Edit(flow, flow.root);
  const host = makeSubgraph(e, [sampler.id, latent.id]);
  assert.ok(host);
  const sub = flow.graph(host.type);
  e.within(sub, () => promote(e, latent.id, 'width'));
  e.settle();
  const width = widgetNamed(host, 'width');
  assert.ok(width && valueOf(host, width) === 512);
  const { nodes: [copy] } = duplicate(e, { nodes: [host.id] }, [0, 300]);
  edit.setValue(e, host.id, 'width', 640);
  e.settle();
  const prompt = graphToPrompt(flow);
  assert.equal(prompt[`${host.id}:${latent.id}`].inputs.width, 640);
  assert.equal(prompt[`${copy}:${latent.id}`].inputs.width, 512);
  e.within(sub, () => removePort(e, 'in', sub.inputs.findIndex((slot) => slot.name === 'width')));
  e.settle();
  assert.equal(widgetNamed(host, 'width'), undefined);
});

test('copied text pastes into another workflow with its subgraphs and inner wires', () => {
  const { flow, sampler, latent, decode } = txt2img();
  const e = new Edit(flow, flow.root);
  const host = makeSubgraph(e, [sampler.id, latent.id]);
  assert.ok(host);
  e.settle();
  const text = JSON.stringify(copyItems(flow.root, { nodes: [host.id, decode.id] }));
  const other = txt2img();
  const into = new Edit(other.flow, other.flow.root);
  const made = pasteFragment(into, JSON.parse(text), { at: [0, 0] });
  into.settle();
  sound(other.flow.root);
  assert.equal(made.nodes.length, 2);
  assert.ok(other.flow.subs.has(host.type));
  const nodes = made.nodes.map((id) => other.flow.root.node(id));
  const pasted = nodes.find((node) => node?.type === 'VAEDecode');
  assert.equal(other.flow.root.link(pasted?.inputs[0].link)?.from, nodes.find((node) => node?.type === host.type)?.id);
});

test('ports that grow and choices that bring inputs', () => {
  const { flow, decode } = txt2img();
  const e = new Edit(flow, flow.root);
  const growing = edit.addNode(e, 'Growing', [0, 0]);
  assert.deepEqual(growing.inputs.map((slot) => slot.name), ['images.image0']);
  edit.connect(e, { node: decode.id, slot: 0 }, { node: growing.id, slot: 0 });
  assert.deepEqual(growing.inputs.map((slot) => slot.name), ['images.image0', 'images.image1']);
  edit.disconnectSlot(e, { node: growing.id, side: 'in', slot: 0 });
  assert.deepEqual(growing.inputs.map((slot) => slot.name), ['images.image0']);
  const choice = edit.addNode(e, 'Choice', [0, 0]);
  assert.deepEqual(choice.widgets.map((widget) => widget.name), ['mode', 'mode.by', 'tail']);
  edit.setValue(e, choice.id, 'mode', 'match');
  e.settle();
  assert.deepEqual(choice.inputs.map((slot) => slot.name), ['mode.image']);
});

test('history is bounded by steps and by bytes', () => {
  const history = new History(10, 10_000);
  for (let i = 0; i < 50; i++) history.push({ label: '', do: [{ op: 'x', id: i }], undo: [] });
  assert.equal(history.past.length, 10);
  history.push({ label: '', do: [{ op: 'x', text: 'a'.repeat(20_000) }], undo: [] });
  assert.equal(history.past.length, 1);
});
