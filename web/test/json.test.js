import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import test from 'node:test';
import { workflowFromJson, workflowToJson } from '../graph/json.js';
import { valueOf, widgetNamed } from '../graph/model.js';
import { defs } from './fixture.js';

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

test('what litegraph 0.17.2 reads and writes, we read and write the same', async (t) => {
  let litegraph;
  try {
    litegraph = await import(/** @type {string} */ ('@comfyorg/litegraph'));
  } catch {
    return t.skip('litegraph is not installed: npm install --prefix web');
  }
  const { LGraph, LiteGraph, LGraphNode } = litegraph;
  class Box extends LGraphNode {
    constructor() {
      super('Box');
      this.addInput('a', 'IMAGE');
      this.addInput('b', 'LATENT');
      this.addOutput('x', 'IMAGE');
      this.addOutput('y', 'LATENT');
    }
  }
  LiteGraph.registerNodeType('Box', Box);
  const graph = new LGraph();
  const nodes = [0, 1, 2, 3].map((i) => {
    const node = LiteGraph.createNode('Box');
    node.pos = [i * 200.5, i * 33];
    graph.add(node);
    return node;
  });
  nodes[0].connect(0, nodes[1], 0);
  nodes[0].connect(0, nodes[2], 0);
  nodes[1].connect(1, nodes[3], 1);
  nodes[2].connect(0, nodes[3], 0);
  const link = [...graph._links.values()][0];
  graph.createReroute([77, 88], link);
  const file = plain(graph.serialize());
  const ours = again(file);
  assert.deepEqual(ours, file);
  const back = new LGraph();
  back.configure(plain(ours));
  assert.deepEqual(plain(back.serialize()), file);
});
