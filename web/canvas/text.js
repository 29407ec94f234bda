/** Text is measured and clipped once for each (text, font, width), then drawn from the cache. */

const ELLIPSIS = '…';
const LIMIT = 4000;

export class Texts {
  /** @param {(text: string, font: string) => number} measure */
  constructor(measure) {
    this.measure = measure;
    /** @type {Map<string, string>} */
    this.clipped = new Map();
    /** @type {Map<string, string[]>} */
    this.wrapped = new Map();
    /** @type {Map<string, number>} */
    this.widths = new Map();
    this.misses = 0;
  }

  /** @param {string} text @param {string} font */
  width(text, font) {
    const key = `${font}|${text}`;
    const known = this.widths.get(key);
    return known ?? keep(this.widths, key, this.measure(text, font), this);
  }

  /** `text` cut to `width` graph pixels with an ellipsis. @param {string} text @param {string} font @param {number} width */
  clip(text, font, width) {
    const key = `${font}|${Math.round(width)}|${text}`;
    const known = this.clipped.get(key);
    if (known !== undefined) return known;
    return keep(this.clipped, key, this.cut(text.length > 400 ? text.slice(0, 400) : text, font, width), this);
  }

  /** @param {string} text @param {string} font @param {number} width */
  cut(text, font, width) {
    if (this.measure(text, font) <= width) return text;
    let lo = 0, hi = text.length;
    while (lo < hi) {
      const mid = (lo + hi + 1) >> 1;
      if (this.measure(text.slice(0, mid) + ELLIPSIS, font) <= width) lo = mid;
      else hi = mid - 1;
    }
    return lo ? text.slice(0, lo).trimEnd() + ELLIPSIS : '';
  }

  /** The first `lines` lines of `text` wrapped to `width`. @param {string} text @param {string} font @param {number} width @param {number} lines */
  wrap(text, font, width, lines) {
    const key = `${font}|${Math.round(width)}|${lines}|${text}`;
    const known = this.wrapped.get(key);
    if (known) return known;
    return keep(this.wrapped, key, this.fold(text, font, width, lines), this);
  }

  /** @param {string} text @param {string} font @param {number} width @param {number} lines */
  fold(text, font, width, lines) {
    /** @type {string[]} */
    const out = [];
    for (const paragraph of text.split('\n')) {
      let line = '';
      for (let word of paragraph.split(/(?<=\s)/)) {
        if (out.length >= lines) return out;
        if (line && this.measure(line + word.trimEnd(), font) > width) {
          out.push(line.trimEnd());
          line = '';
        }
        while (this.measure(word.trimEnd(), font) > width && word.length > 1 && out.length < lines) {
          const head = this.head(word, font, width);
          out.push(head);
          word = word.slice(head.length);
        }
        line += word;
      }
      if (out.length >= lines) return out;
      out.push(line.trimEnd());
    }
    return out;
  }

  /** The longest start of `word` that fits, at least one character. @param {string} word @param {string} font @param {number} width */
  head(word, font, width) {
    let n = 1;
    while (n < word.length && this.measure(word.slice(0, n + 1), font) <= width) n++;
    return word.slice(0, n);
  }
}

/**
 * @template T
 * @param {Map<string, T>} cache @param {string} key @param {T} value @param {Texts} texts
 * @returns {T}
 */
function keep(cache, key, value, texts) {
  texts.misses++;
  if (cache.size >= LIMIT) {
    let drop = LIMIT / 4;
    for (const old of cache.keys()) {
      cache.delete(old);
      if (--drop <= 0) break;
    }
  }
  cache.set(key, value);
  return value;
}

/** A measure that uses a canvas. @returns {(text: string, font: string) => number} */
export function canvasMeasure() {
  const context = /** @type {CanvasRenderingContext2D} */ (document.createElement('canvas').getContext('2d'));
  let current = '';
  return (text, font) => {
    if (font !== current) context.font = current = font;
    return context.measureText(text).width;
  };
}
