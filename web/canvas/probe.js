/** What tests may see: counts of work done, and where things are. Only read, never acted on. */

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
    /** the last scene draw */
    get scene() {
      return { ...stage.counters };
    },
    get dom() {
      return document.getElementsByTagName('*').length;
    },
    get bitmaps() {
      return { count: stage.pictures.held.size, bytes: stage.pictures.bytes };
    },
    get camera() {
      return stage.camera.save();
    },
    get wiring() {
      return Boolean(stage.wiring);
    },
    get tool() {
      return stage.tool?.name ?? '';
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
