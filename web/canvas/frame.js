/** One requestAnimationFrame loop for everything drawn. It runs only while something is dirty: an idle page draws nothing. */

/** @typedef {'scene' | 'over' | 'mini'} Layer */

/** @type {Layer[]} */
export const LAYERS = ['scene', 'over', 'mini'];

export class Frames {
  /**
   * @param {Record<Layer, (reasons: string[]) => void>} draw
   * @param {(callback: () => void) => number} [request]
   */
  constructor(draw, request = (callback) => requestAnimationFrame(callback)) {
    this.draw = draw;
    this.request = request;
    /** @type {Map<Layer, Set<string>>} */
    this.dirty = new Map();
    /** @type {Map<string, () => void>} run once before the next drawing, the newest per key */
    this.before = new Map();
    this.asked = false;
    this.frames = 0;
    /** @type {Record<string, number>} draws by `layer` and by `layer:reason` */
    this.counts = {};
  }

  /** @param {Layer} layer @param {string} reason */
  mark(layer, reason) {
    let reasons = this.dirty.get(layer);
    if (!reasons) this.dirty.set(layer, (reasons = new Set()));
    reasons.add(reason);
    this.ask();
  }

  /** Do `work` once in the next frame; a later call with the same key replaces it. @param {string} key @param {() => void} work */
  once(key, work) {
    this.before.set(key, work);
    this.ask();
  }

  ask() {
    if (this.asked) return;
    this.asked = true;
    this.request(() => this.run());
  }

  run() {
    this.asked = false;
    this.frames++;
    const work = [...this.before.values()];
    this.before.clear();
    for (const w of work) w();
    for (const layer of LAYERS) {
      const reasons = this.dirty.get(layer);
      if (!reasons) continue;
      this.dirty.delete(layer);
      const list = [...reasons];
      this.count(layer, list);
      this.draw[layer](list);
    }
  }

  /** @param {Layer} layer @param {string[]} reasons */
  count(layer, reasons) {
    this.counts[layer] = (this.counts[layer] ?? 0) + 1;
    for (const r of reasons) {
      const key = `${layer}:${r}`;
      this.counts[key] = (this.counts[key] ?? 0) + 1;
    }
  }
}
