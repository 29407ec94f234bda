/** What a tool is: it is made when the pointer goes down and lives until the pointer goes up. */

/**
 * Where the pointer is.
 * @typedef {object} Press
 * @property {{x: number, y: number}} screen pixels from the canvas's corner
 * @property {{x: number, y: number}} at graph units
 * @property {boolean} shift
 * @property {boolean} ctrl Ctrl, or Cmd on a Mac
 * @property {boolean} alt
 * @property {boolean} touch
 * @property {number} button
 * @property {number} time milliseconds
 * @property {boolean} still the pointer has not moved since it went down
 */

/**
 * @typedef {object} Tool
 * @property {string} name
 * @property {string} [cursor]
 * @property {(press: Press) => void} move
 * @property {(press: Press) => void} end
 * @property {(press: Press) => void} [sense] every single move, also those between two frames
 * @property {() => void} cancel Escape, a lost pointer, a second finger
 * @property {(look: import('../canvas/look.js').Look) => void} [draw] on the overlay, in graph units
 */

export {};
