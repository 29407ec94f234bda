/** What every drawing function is given: the pen, the theme, the level of detail, and the counters it adds to. */

import { level } from './detail.js';
import { FONTS } from './theme.js';

/** @typedef {keyof typeof FONTS} FontName */

export class Counters {
  constructor() {
    /** nodes drawn or looked at one by one in the last scene draw */
    this.visited = 0;
    /** texts drawn in the last scene draw */
    this.texts = 0;
    this.wires = 0;
    this.overNodes = 0;
    this.overTexts = 0;
    /** the words beside the pointer */
    this.tip = '';
    this.lastMs = 0;
    /** how the last scene draw was made: full, shift, scale or part */
    this.how = '';
    this.full = 0;
    this.shift = 0;
    this.scaled = 0;
    this.part = 0;
  }
}

export class Look {
  /**
   * @param {CanvasRenderingContext2D} pen @param {import('./theme.js').Theme} theme
   * @param {import('./text.js').Texts} texts @param {Counters} counters @param {(key: string, vars?: Record<string, any>) => string} t the words
   */
  constructor(pen, theme, texts, counters, t) {
    this.t = t;
    this.pen = pen;
    this.theme = theme;
    this.texts = texts;
    this.counters = counters;
    this.scale = 1;
    this.lod = 2;
    /** @type {'curve' | 'straight' | 'ortho'} */ this.wires = 'curve';
    this.font = '';
    this.align = '';
  }

  /** Puts the pen in graph units. @param {import('./camera.js').Camera} camera @param {number} [k] pixels of the canvas a CSS pixel */
  enter(camera, k = camera.dpr) {
    this.scale = camera.scale;
    this.lod = level(camera.scale);
    this.font = this.align = '';
    this.pen.setTransform(camera.scale * k, 0, 0, camera.scale * k, camera.left * k, camera.top * k);
    this.pen.textBaseline = 'middle';
    this.pen.lineJoin = 'round';
  }

  /**
   * One line of text, cut to `width`.
   * @param {string} text @param {number} x @param {number} y @param {FontName} font @param {string} colour
   * @param {number} width @param {CanvasTextAlign} [align]
   */
  text(text, x, y, font, colour, width, align = 'left') {
    if (!text) return;
    const css = FONTS[font];
    const cut = this.texts.clip(text, css, width);
    if (cut) this.write(cut, x, y, css, colour, align);
  }

  /** @param {string} cut @param {number} x @param {number} y @param {string} css @param {string} colour @param {CanvasTextAlign} align */
  write(cut, x, y, css, colour, align) {
    const { pen } = this;
    if (this.font !== css) pen.font = this.font = css;
    if (this.align !== align) pen.textAlign = /** @type {CanvasTextAlign} */ (this.align = align);
    pen.fillStyle = colour;
    pen.fillText(cut, x, y);
    this.counters.texts++;
  }

  /** @param {string} text @param {FontName} font */
  width(text, font) {
    return this.texts.width(text, FONTS[font]);
  }

  /** @param {string} text @param {FontName} font @param {number} width @param {number} most */
  lines(text, font, width, most) {
    return this.texts.wrap(text, FONTS[font], width, most);
  }

  /** Lines wrapped to a box. @param {string} text @param {import('./camera.js').Rect} box @param {FontName} font @param {string} colour @param {number} [leading] */
  paragraph(text, box, font, colour, leading = 16) {
    const room = Math.max(1, Math.floor(box.h / leading));
    const lines = this.texts.wrap(text, FONTS[font], box.w, room);
    lines.forEach((line, i) => {
      if (line) this.write(line, box.x, box.y + leading * (i + 0.5), FONTS[font], colour, 'left');
    });
  }
}
