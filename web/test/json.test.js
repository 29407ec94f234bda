import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import test from 'node:test';
import { workflowFromJson, workflowToJson } from '../graph/json.js';
import { valueOf, widgetNamed } from '../graph/model.js';
import { Edit } from '../graph/record.js';
import { INFO, defs, dice, mutate, txt2img } from './fixture.js';

/** @param {any} value */
const plain = (value) => JSON.parse(JSON.stringify(value));

/** @param {any} data */
const again = (data) => plain(workflowToJson(workflowFromJson(plain(data), defs())));

const FILE = {
  id: 'c0ffee', revision: 3, last_node_id: 9, last_link_id: 12,
  nodes: [
    { id: 1, type: 'CheckpointLoaderSimple', pos: [10.123456789, -20], size: [300, 98], flags: {}, order: 0, mode: 0, outputs: [{ name: 'MODEL', type: 'MODEL', slot_index: 0, links: [7] }, { name: 'CLIP', type: 'CLIP', links: [] }, { name: 'VAE', type: 'VAE', links: null }], properties: { 'Node name for S&R': 'x', cnr_id: 'comfy-core' }, widgets_values: ['gone.safetensors'], showAdvanced: true },
    { id: '2a', type: 'KSampler', pos: [400, 0], size: [315, 262], flags: { collapsed: true }, order: 1, mode: 4, inputs: [{ name: 'model', type: 'MODEL', link: 7, localized_name: 'model' }, { name: 'positive', type: 'CONDITIONING', link: null }, { name: 'steps', type: 'INT', link: null, widget: { name: 'steps' } }], outputs: [{ name: 'LATENT', type: 'LATENT' }], title: 'My sampler', color: '#322', bgcolor: '#533', properties: {}, widgets_values: [42, 'fixed', 20, 8, 'euler', 'normal', 1], widgets_values_named: { seed: 42, steps: 20 } },
    { id: 3, type: 'SomePack.Unknown', pos: [0, 300], size: [200, 50], flags: { pinned: true }, order: 2, mode: 2, properties: { deep: { a: [1, { b: 2 }] } }, widgets_values: { by: 'name', list: [1, 2] } },
  ],
  links: [[7, 1, 0, '2a', 0, 'MODEL']],
  floatingLinks: [{ id: 3, origin_id: 1, origin_slot: 1, target_id: -1, target_slot: -1, type: 'CLIP', parentId: 4 }],
  groups: [{ id: 1, title: 'Load', bounding: [0, 0, 300, 200], color: '#3f789e', font_size: 24, flags: {} }, { title: 'old', bounding: [1, 2, 3, 4], color: '#aaa', font_size: 20, locked: false }],
  config: {}, models: [{ name: 'm' }],
  extra: { ds: { scale: 0.7, offset: [12.5, -3] }, reroutes: [{ id: 1, pos: [200, 10], linkIds: [7] }, { id: 2, parentId: 1, pos: [250, 10], linkIds: [7] }], linkExtensions: [{ id: 7, parentId: 2 }], linkPresentation: { 7: { hidden: true, label: 'the model' } }, mine: [1] },
  version: 0.4,
};

test('a 0.4 file comes back as it was, every key of it', () => {
  assert.deepEqual(again(FILE), FILE);
});

test('a file of format 1 becomes 0.4 with the same content, and then stays', () => {
  const one = { ...plain(FILE), version: 1, state: { lastNodeId: 9, lastLinkId: 12, lastGroupId: 1, lastRerouteId: 2 }, links: [{ id: 7, origin_id: 1, origin_slot: 0, target_id: '2a', target_slot: 0, type: 'MODEL', parentId: 2 }], reroutes: FILE.extra.reroutes };
  delete one.extra.reroutes, delete one.extra.linkExtensions, delete one.last_node_id, delete one.last_link_id;
  const out = again(one);
  assert.deepEqual(out, FILE);
  assert.deepEqual(again(out), out);
});

test('positions written as objects are read', () => {
  const file = { nodes: [{ id: 1, type: 'VAEDecode', pos: { 0: 5, 1: 6 }, size: { 0: 100, 1: 50 } }], links: [], version: 0.4 };
  assert.deepEqual(again(file).nodes[0].pos, [5, 6]);
});

test('links to nothing are left out and do no harm', () => {
  const file = plain(FILE);
  file.links.push([8, 99, 0, 1, 0, 'X'], null, [9, 1, 5, '2a', 1, 'CONDITIONING']);
  assert.deepEqual(again(file).links, FILE.links);
});

test('subgraph definitions keep their form, nested ones their place', () => {
  const inner = { id: 'in', version: 1, state: { lastGroupId: 0, lastNodeId: 1, lastLinkId: 2, lastRerouteId: 0 }, revision: 0, config: {}, name: 'Inner', inputNode: { id: -10, bounding: [0, 0, 120, 60], pinned: true }, outputNode: { id: -20, bounding: [500, 0, 120, 60] }, inputs: [{ id: 'u1', name: 'width', type: 'INT', linkIds: [1], pos: [9, 9] }], outputs: [{ id: 'u2', name: 'LATENT', type: 'LATENT', linkIds: [2], localized_name: 'LATENT' }], widgets: [], nodes: [{ id: 1, type: 'EmptyLatentImage', pos: [1, 2], size: [3, 4], flags: {}, order: 0, mode: 0, inputs: [{ name: 'width', type: 'INT', widget: { name: 'width' }, link: 1 }], outputs: [{ name: 'LATENT', type: 'LATENT', links: [2] }], properties: {}, widgets_values: [512, 512, 1] }], groups: [], links: [{ id: 1, origin_id: -10, origin_slot: 0, target_id: 1, target_slot: 0, type: 'INT' }, { id: 2, origin_id: 1, origin_slot: 0, target_id: -20, target_slot: 0, type: 'LATENT' }], extra: { workflowRendererVersion: 'LG' } };
  const outer = { ...plain(inner), id: 'out', name: 'Outer', nodes: [], links: [], inputs: [], outputs: [], definitions: { subgraphs: [inner] } };
  const host = { id: 1, type: 'in', pos: [0, 0], size: [200, 60], flags: {}, order: 0, mode: 0, inputs: [{ name: 'width', type: 'INT', widget: { name: 'width' }, link: null }], outputs: [{ name: 'LATENT', type: 'LATENT', links: null }], properties: { proxyWidgets: [['1', 'height']] }, widgets_values: [640] };
  const file = { last_node_id: 1, last_link_id: 0, nodes: [host], links: [], groups: [], definitions: { subgraphs: [outer] }, config: {}, extra: {}, version: 0.4 };
  assert.deepEqual(again(file), file);
  const flow = workflowFromJson(file, defs());
  const node = flow.root.node(1);
  assert.deepEqual(node?.widgets.map((widget) => [widget.name, valueOf(node, widget)]), [['width', 640], ['1.height', 512]]);
});

test('values are found by name, by place, and where an old file has no control after the seed', () => {
  const old = workflowFromJson({ nodes: [{ id: 1, type: 'KSampler', widgets_values: [5, 30, 7.5, 'heun'] }], links: [], version: 0.4 }, defs()).root.node(1);
  const steps = old && widgetNamed(old, 'steps');
  assert.equal(old && steps && valueOf(old, steps), 30);
  const fresh = workflowFromJson(FILE, defs()).root.node('2a');
  const cfg = fresh && widgetNamed(fresh, 'cfg');
  assert.equal(fresh && cfg && valueOf(fresh, cfg), 8);
});

test('every shipped workflow comes back as it was', () => {
  const folder = new URL('../../workflows/', import.meta.url);
  const files = readdirSync(folder, { recursive: true }).map(String).filter((name) => name.endsWith('.json'));
  for (const name of files) {
    const file = JSON.parse(readFileSync(new URL(name, folder), 'utf8'));
    if (Array.isArray(file.nodes) && file.version === 0.4) assert.deepEqual(again(file), file, name);
  }
});

test('what litegraph 0.17.2 reads and writes, we read and write the same', async () => {
  const { LGraph } = await import(/** @type {string} */ ('@comfyorg/litegraph'));
  const build = await litegraphBuilder();
  const seen = { reroutes: 0, groups: 0, subgraphs: 0, floating: 0 };
  for (let seed = 1; seed <= 60; seed++) {
    const graph = build(dice(seed));
    const file = plain(graph.serialize());
    seen.reroutes += file.extra?.reroutes?.length ?? 0;
    seen.groups += file.groups.length;
    seen.subgraphs += file.definitions?.subgraphs?.length ?? 0;
    seen.floating += file.floatingLinks?.length ?? 0;
    const ours = again(file);
    assert.deepEqual(ours, file, `seed ${seed}`);
    // It numbers the order of nodes anew when it reads, so what it makes of ours is compared with what it makes of its own.
    const [mine, its] = [ours, file].map((data) => {
      const back = new LGraph();
      build.teach(back);
      back.configure(plain(data));
      return plain(back.serialize());
    });
    assert.deepEqual(mine, its, `seed ${seed}, read again by litegraph`);
  }
  assert.ok(seen.reroutes > 20 && seen.groups > 20 && seen.subgraphs > 5, JSON.stringify(seen));
});

test('litegraph opens what we write after any edits', async () => {
  const { LGraph, LiteGraph, LGraphNode } = await import(/** @type {string} */ ('@comfyorg/litegraph'));
  for (const type of Object.keys(INFO)) LiteGraph.registerNodeType(type, class extends LGraphNode {});
  for (let seed = 1; seed <= 25; seed++) {
    const random = dice(seed);
    const { flow } = txt2img();
    for (let i = 0; i < 15; i++) {
      const e = new Edit(flow, flow.root);
      mutate(e, random);
      e.settle();
    }
    const file = plain(workflowToJson(flow));
    const graph = new LGraph();
    graph.configure(plain(file));
    const written = plain(graph.serialize());
    const wires = (/** @type {any} */ data) => data.links.map((/** @type {any[]} */ link) => link.slice(0, 5).join()).sort();
    assert.deepEqual(wires(written), wires(file), `seed ${seed}: the same wires`);
    const boxes = (/** @type {any} */ data) => data.nodes.map((/** @type {any} */ node) => [node.id, node.type, node.mode, node.pos.map(Math.fround), node.flags]);
    assert.deepEqual(boxes(written), boxes(file), `seed ${seed}: the same nodes`);
    assert.deepEqual((written.extra?.reroutes ?? []).map((/** @type {any} */ one) => one.id).sort(), (file.extra?.reroutes ?? []).map((/** @type {any} */ one) => one.id).sort(), `seed ${seed}: the same reroutes`);
    assert.deepEqual(written.groups.map((/** @type {any} */ one) => [one.title, ...one.bounding]), file.groups.map((/** @type {any} */ one) => [one.title, ...one.bounding.map(Math.fround)]), `seed ${seed}: the same groups`);
  }
});

/** What makes graphs with litegraph itself: nodes, wires, bends, groups, modes, colours, subgraphs, and what is left when some are gone. */
async function litegraphBuilder() {
  const { LGraph, LiteGraph, LGraphNode, LGraphGroup, SubgraphNode } = await import(/** @type {string} */ ('@comfyorg/litegraph'));
  class Box extends LGraphNode {
    constructor() {
      super('Box');
      this.addInput('a', 'IMAGE');
      this.addInput('b', 'LATENT');
      this.addOutput('x', 'IMAGE');
      this.addOutput('y', 'LATENT');
      this.addWidget('number', 'n', 3, () => {}, { min: 0, max: 9 });
      this.serialize_widgets = true;
    }
  }
  LiteGraph.registerNodeType('Box', Box);
  /** A graph learns to make the nodes of its subgraphs, which litegraph leaves to its user. @param {any} graph */
  const teach = (graph) => graph.events.addEventListener('subgraph-created', (/** @type {any} */ { detail: { subgraph } }) => {
    const blank = { id: -1, type: subgraph.id, pos: [0, 0], size: [100, 100], inputs: [], outputs: [], flags: {}, order: 0, mode: 0 };
    LiteGraph.registerNodeType(subgraph.id, class extends SubgraphNode {
      constructor() {
        super(graph, subgraph, blank);
      }
    });
  });
  const build = (/** @type {() => number} */ random) => {
    const graph = new LGraph();
    teach(graph);
    const count = 3 + Math.floor(random() * 9);
    /** @type {any[]} */ const nodes = [];
    for (let i = 0; i < count; i++) {
      const node = LiteGraph.createNode('Box');
      node.pos = [i * 200.5, Math.round(random() * 300) / 2];
      graph.add(node);
      if (random() < 0.3) node.title = `Named ${i}`;
      if (random() < 0.2) Object.assign(node, { color: '#322', bgcolor: '#533' });
      if (random() < 0.2) node.flags.collapsed = true;
      node.mode = [0, 0, 0, 2, 4][Math.floor(random() * 5)];
      node.widgets[0].value = Math.floor(random() * 9);
      nodes.push(node);
      for (const slot of [0, 1]) if (i && random() < 0.7) nodes[Math.floor(random() * i)].connect(slot, node, slot);
    }
    for (const link of [...graph._links.values()]) if (random() < 0.3) {
      const first = graph.createReroute([Math.round(random() * 500), Math.round(random() * 300)], link);
      if (first && random() < 0.4) graph.createReroute([Math.round(random() * 500), 40], link);
    }
    if (random() < 0.6) {
      const group = new LGraphGroup('A group');
      graph.add(group);
      group.pos = [10, 20];
      group.size = [400, 200];
    }
    if (random() < 0.5) graph.remove(nodes[Math.floor(random() * count)]);
    if (random() < 0.3) {
      const some = graph.nodes.slice(0, 2);
      if (some.length === 2) graph.convertToSubgraph(new Set(some));
    }
    return graph;
  };
  return Object.assign(build, { teach });
}
