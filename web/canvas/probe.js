/** What tests may see: counts of work done, and where things are. Only read, never acted on. */

import { valueOf } from '../graph/model.js';
import { ioPos } from '../graph/shape.js';
import { screenOf } from './acts.js';

/** @param {import('./stage.js').Stage} stage */
export function probe(stage) {
  return {
    /** draws by layer, and by layer and reason */
    get draws() {
      return { ...stage.frames.counts };
    },
    get frames() {
      return stage.frames.frames;
    },
    get idle() {
      return !stage.frames.asked;
    },
    /** draws that wait for a timer */
    get later() {
      return stage.later;
    },
    /** the last scene draw */
    get scene() {
      return { ...stage.counters };
    },
    get dom() {
      return document.getElementsByTagName('*').length;
    },
    get bitmaps() {
      return { count: stage.pictures.held.size, bytes: stage.pictures.bytes, live: stage.media.live.size };
    },
    get camera() {
      return stage.camera.save();
    },
    /** the words beside the pointer */
    get tip() {
      return stage.counters.tip;
    },
    get wiring() {
      return Boolean(stage.wiring);
    },
    get tool() {
      return stage.tool?.name ?? '';
    },
    /** The graph in view as plain data. */
    graph() {
      const { graph, doc } = stage;
      return {
        nodes: Object.fromEntries([...graph.nodes.values()].map((node) => [node.id, {
          type: node.type, pos: [...node.pos], size: [...node.size], mode: node.mode, flags: { ...node.flags }, title: node.label, box: [...graph.boxes.subarray(node.at * 4, node.at * 4 + 4)],
          values: Object.fromEntries(node.widgets.map((widget) => [widget.name, valueOf(node, widget)])),
        }])),
        links: [...graph.links.values()].map(({ id, from, fromSlot, to, toSlot, type, parent }) => ({ id, from, fromSlot, to, toSlot, type, parent })),
        groups: [...graph.groups.values()].map(({ id, title, box }) => ({ id, title, box: [...box] })),
        reroutes: [...graph.reroutes.values()].map(({ id, pos, parent }) => ({ id, pos: [...pos], parent })),
        selection: { nodes: [...doc.selection.nodes], groups: [...doc.selection.groups], reroutes: [...doc.selection.reroutes] },
      };
    },
    /** Page coordinates of a node's title, a socket or a widget. @param {Parameters<typeof screenOf>[1]} what */
    at(what) {
      const found = screenOf(stage, what);
      const box = stage.element.getBoundingClientRect();
      return found && [found[0] + box.left, found[1] + box.top];
    },
    /** Page coordinates of a graph point. @param {number} x @param {number} y */
    page(x, y) {
      const at = stage.camera.toScreen(x, y), box = stage.element.getBoundingClientRect();
      return [at.x + box.left, at.y + box.top];
    },
    /** Page coordinates of a port of the subgraph in view. @param {'in' | 'out'} side @param {number} index */
    port(side, index) {
      const [x, y] = ioPos(stage.graph, side, index);
      return this.page(x, y);
    },
    /** Page coordinates of the middle of the first picture on a node. @param {import('../graph/model.js').NodeId} id */
    picture(id) {
      const node = stage.graph.node(id);
      const box = node && stage.media.box(node);
      return box ? this.page(box.x + box.w / 2, box.y + box.h / 2) : null;
    },
    /** A point on a link, in graph units. @param {number} link */
    wire(link) {
      stage.fresh();
      const { routes } = stage;
      const i = routes.links.findIndex((l) => l.id === link);
      const [ax, ay, bx, by] = routes.ends.subarray(i * 4, i * 4 + 4);
      return i < 0 ? null : [(ax + bx) / 2, (ay + by) / 2];
    },
    /** What a click there would hit. @param {number} x graph units @param {number} y */
    hit(x, y) {
      const { kind, ...rest } = /** @type {any} */ (stage.pick(x, y));
      return { kind, node: rest.node?.id, index: rest.index, side: rest.side, id: rest.id, link: rest.link, widget: rest.widget?.name };
    },
  };
}

/** Settings that would move or change what a test looks at. */
const PLAIN = { 'panel.open': '', 'canvas.select': false, 'canvas.snap': false, 'canvas.links': 'curve', 'canvas.minimap': true, 'canvas.zoomSpeed': 1 };

/** Hangs the counters on the window for tests; called by main.js, only with ?test=1. @param {any} app */
export function expose(app) {
  const w = /** @type {any} */ (window);
  w.__test = {
    app,
    counters: app.canvas.counters,
    /** Shows a workflow in a tab of its own. @param {any} json */
    open: (json) => app.open(json, { name: 'test' }),
    /** Closes every tab without asking, and everything that lies over or beside the canvas. */
    async clear() {
      app.ui.toasts.value = [];
      for (const [name, value] of Object.entries(PLAIN)) if (app.prefs.get(name) !== value) app.prefs.set(name, value);
      for (const doc of [...app.docs.value]) {
        doc.dirty.value = false;
        await app.close(doc);
      }
    },
    /** @param {{x: number, y: number, scale: number}} camera */
    look: (camera) => app.active.value.setCamera(camera),
    file: () => app.active.value.toJson(),
  };
}
