/** Pictures on nodes: ImageBitmaps decoded at the size they are shown, in a cache bounded in bytes. */

const BUDGET = 96 * 2 ** 20;

/** @typedef {{bitmap: ImageBitmap, width: number, height: number, edge: number, bytes: number}} Picture */

export class Pictures {
  /** @param {() => void} ready called when a picture can be drawn @param {number} [budget] bytes */
  constructor(ready, budget = BUDGET) {
    this.ready = ready;
    this.budget = budget;
    this.bytes = 0;
    /** @type {Map<string, Picture>} least recently drawn first */
    this.held = new Map();
    /** @type {Map<string, number>} */
    this.loading = new Map();
    /** @type {Map<string, string>} */
    this.failed = new Map();
  }

  /** The picture at `url`, decoded for `edge` device pixels; null while it loads. @param {string} url @param {number} edge @returns {Picture | null} */
  get(url, edge) {
    const want = step(edge);
    const known = this.held.get(url);
    if (known) {
      this.held.delete(url);
      this.held.set(url, known);
      if (known.edge >= want || known.edge >= Math.max(known.width, known.height)) return known;
    }
    this.load(url, want);
    return known ?? null;
  }

  /** @param {string} url @param {number} edge */
  load(url, edge) {
    if ((this.loading.get(url) ?? 0) >= edge || this.failed.has(url)) return;
    this.loading.set(url, edge);
    fetch(url)
      .then((answer) => {
        if (!answer.ok) throw new Error(`${answer.status}`);
        return answer.blob();
      })
      .then((blob) => this.decode(url, blob, edge))
      .catch((error) => this.failed.set(url, String(error)))
      .finally(() => {
        if (this.loading.get(url) === edge) this.loading.delete(url);
        this.ready();
      });
  }

  /** Decode a blob (a preview frame) under the name `key`. @param {string} key @param {Blob} blob @param {number} edge */
  async decode(key, blob, edge) {
    const whole = await createImageBitmap(blob);
    const { width, height } = whole;
    const ratio = edge / Math.max(width, height);
    let bitmap = whole;
    if (ratio < 0.75) {
      bitmap = await createImageBitmap(whole, {
        resizeWidth: Math.max(1, Math.round(width * ratio)),
        resizeHeight: Math.max(1, Math.round(height * ratio)),
        resizeQuality: 'high',
      });
      whole.close();
    }
    this.put(key, { bitmap, width, height, edge: ratio < 0.75 ? edge : Math.max(width, height), bytes: bitmap.width * bitmap.height * 4 });
  }

  /** @param {string} key @param {Picture} picture */
  put(key, picture) {
    this.drop(key);
    this.held.set(key, picture);
    this.bytes += picture.bytes;
    for (const old of this.held.keys()) {
      if (this.bytes <= this.budget || old === key) break;
      this.drop(old);
    }
  }

  /** @param {string} key */
  drop(key) {
    this.failed.delete(key);
    const picture = this.held.get(key);
    if (!picture) return;
    this.held.delete(key);
    this.bytes -= picture.bytes;
    picture.bitmap.close();
  }

  clear() {
    for (const key of [...this.held.keys()]) this.drop(key);
  }
}

/** Sizes go in steps, so that a slow zoom does not decode at every pixel. @param {number} edge */
function step(edge) {
  let size = 128;
  while (size < edge && size < 4096) size *= 2;
  return size;
}
