/** Small outlines: socket shapes and rounded boxes. */

/** @typedef {CanvasRenderingContext2D} Pen */
/** @typedef {'circle' | 'square' | 'diamond' | 'triangle' | 'hexagon' | 'ring' | 'bar' | 'cross' | 'drop'} Shape */

/**
 * Adds a socket outline of radius `r` to the current path.
 * @param {Pen} pen @param {Shape} shape @param {number} x @param {number} y @param {number} r
 */
export function socket(pen, shape, x, y, r) {
  switch (shape) {
    case 'square':
      return box(pen, x, y, r * 0.86, r * 0.86);
    case 'bar':
      return box(pen, x, y, r * 0.55, r * 1.1);
    case 'diamond':
      return polygon(pen, x, y, r * 1.2, 4, 0);
    case 'triangle':
      return polygon(pen, x - r * 0.15, y, r * 1.25, 3, 0);
    case 'hexagon':
      return polygon(pen, x, y, r * 1.1, 6, 0);
    case 'cross':
      return cross(pen, x, y, r * 1.05, r * 0.42);
    case 'drop':
      pen.moveTo(x + r * 1.3, y);
      pen.arc(x - r * 0.1, y, r * 0.95, Math.PI / 4, -Math.PI / 4);
      return pen.closePath();
    case 'ring':
      pen.moveTo(x + r, y);
      pen.arc(x, y, r, 0, 2 * Math.PI);
      pen.moveTo(x + r * 0.45, y);
      return pen.arc(x, y, r * 0.45, 0, 2 * Math.PI, true);
    default:
      pen.moveTo(x + r, y);
      return pen.arc(x, y, r, 0, 2 * Math.PI);
  }
}

/** @param {Pen} pen @param {number} x @param {number} y @param {number} rx @param {number} ry */
function box(pen, x, y, rx, ry) {
  pen.rect(x - rx, y - ry, 2 * rx, 2 * ry);
}

/** @param {Pen} pen @param {number} x @param {number} y @param {number} r @param {number} sides @param {number} turn */
function polygon(pen, x, y, r, sides, turn) {
  for (let i = 0; i < sides; i++) {
    const a = turn + (i * 2 * Math.PI) / sides;
    if (i) pen.lineTo(x + r * Math.cos(a), y + r * Math.sin(a));
    else pen.moveTo(x + r * Math.cos(a), y + r * Math.sin(a));
  }
  pen.closePath();
}

/** @param {Pen} pen @param {number} x @param {number} y @param {number} r @param {number} t */
function cross(pen, x, y, r, t) {
  const at = [[-t, -r], [t, -r], [t, -t], [r, -t], [r, t], [t, t], [t, r], [-t, r], [-t, t], [-r, t], [-r, -t], [-t, -t]];
  at.forEach(([dx, dy], i) => (i ? pen.lineTo(x + dx, y + dy) : pen.moveTo(x + dx, y + dy)));
  pen.closePath();
}

/** @param {Pen} pen @param {number} x @param {number} y @param {number} w @param {number} h @param {number | number[]} r */
export function round(pen, x, y, w, h, r) {
  pen.beginPath();
  pen.roundRect(x, y, w, h, r);
}
