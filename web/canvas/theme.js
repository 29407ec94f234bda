/** Colours, fonts and socket shapes. Colours come from the page's CSS variables, so light, dark and forced colours need no code here. */

/** @typedef {import('./glyph.js').Shape} Shape */
/** @typedef {{hue: string, shape: Shape}} TypeLook */

const FONT = 'Inter, "Segoe UI", system-ui, -apple-system, "Noto Sans", "DejaVu Sans", sans-serif';
const MONO = 'ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", monospace';

export const FONTS = {
  title: `600 13px ${FONT}`,
  label: `12px ${FONT}`,
  small: `11px ${FONT}`,
  value: `12px ${FONT}`,
  text: `12px ${MONO}`,
  group: `600 17px ${FONT}`,
};

/** name in the theme -> CSS variable, fallback for dark */
const NAMES = /** @type {const} */ ({
  canvas: ['--canvas', '#15171c'],
  dot: ['--grid', '#262a32'],
  node: ['--node', '#22252c'],
  title: ['--node-head', '#2b2f38'],
  edge: ['--node-line', '#3a3f4a'],
  field: ['--node-field', 'rgba(0,0,0,0.22)'],
  fieldEdge: ['--node-field-line', 'rgba(128,136,150,0.22)'],
  text: ['--ink', '#e6e8ec'],
  dim: ['--ink-2', '#a2a9b5'],
  faint: ['--ink-3', '#6b7280'],
  accent: ['--select', '#6ea8fe'],
  good: ['--ok', '#57c785'],
  warn: ['--warn', '#e6b450'],
  bad: ['--danger', '#f0716b'],
  run: ['--run', '#57c785'],
  link: ['--link', '#8a93a3'],
  bypass: ['--bypass', '#a678d8'],
});

/** @typedef {{[K in keyof typeof NAMES]: string} & {dark: boolean, forced: boolean, types: Map<string, TypeLook>, own: (type: string) => string}} Theme */

/** @type {Record<string, [dark: string, light: string, shape: Shape]>} */
const TYPES = {
  MODEL: ['#a99cf0', '#6a55d4', 'hexagon'],
  CLIP: ['#e2c25a', '#9a7400', 'triangle'],
  VAE: ['#ef8a8a', '#c23d45', 'drop'],
  CONDITIONING: ['#eea36a', '#bd6113', 'diamond'],
  LATENT: ['#ea8fd0', '#b83a92', 'circle'],
  IMAGE: ['#6db6f2', '#1f74bd', 'square'],
  MASK: ['#79cf9f', '#1f8a55', 'ring'],
  CONTROL_NET: ['#5fd0c0', '#0d8577', 'hexagon'],
  CLIP_VISION: ['#b5cf6b', '#5e7d12', 'triangle'],
  CLIP_VISION_OUTPUT: ['#b5cf6b', '#5e7d12', 'diamond'],
  STYLE_MODEL: ['#c6b98f', '#7d6b2c', 'hexagon'],
  UPSCALE_MODEL: ['#8fb8c9', '#34708a', 'hexagon'],
  NOISE: ['#b9bec9', '#5b6472', 'cross'],
  GUIDER: ['#7fdbe0', '#107f86', 'hexagon'],
  SAMPLER: ['#bcd37e', '#5d7a10', 'triangle'],
  SIGMAS: ['#d9d9d9', '#5c5c5c', 'bar'],
  AUDIO: ['#f2b6a0', '#b4512c', 'bar'],
  VIDEO: ['#86a8f7', '#3057c4', 'square'],
  INT: ['#8fa3bf', '#49658c', 'circle'],
  FLOAT: ['#8fbfae', '#2f7a62', 'circle'],
  STRING: ['#b8c98f', '#5f7426', 'bar'],
  BOOLEAN: ['#c99fb8', '#8c3d68', 'ring'],
  COMBO: ['#a8aebb', '#5b6472', 'square'],
  '*': ['#a8aebb', '#5b6472', 'ring'],
};

/** @type {Shape[]} */
const SHAPES = ['circle', 'square', 'diamond', 'triangle', 'hexagon', 'ring', 'bar', 'cross', 'drop'];

/** Forced colours: the system's own; what is not named here is drawn as text. @type {Record<string, string>} */
const SYSTEM = { canvas: 'Canvas', dot: 'Canvas', node: 'Canvas', title: 'Canvas', field: 'Canvas', accent: 'Highlight', run: 'Highlight', faint: 'GrayText' };

/** @param {Element} element @returns {Theme} */
export function readTheme(element) {
  const style = getComputedStyle(element);
  const out = /** @type {Record<string, unknown>} */ ({});
  out.forced = typeof matchMedia === 'function' && matchMedia('(forced-colors: active)').matches;
  for (const [key, [name, fallback]] of Object.entries(NAMES)) out[key] = out.forced ? SYSTEM[key] ?? 'CanvasText' : style.getPropertyValue(name).trim() || fallback;
  out.dark = out.forced ? matchMedia('(prefers-color-scheme: dark)').matches : luminance(/** @type {string} */ (out.canvas)) < 0.5;
  out.types = new Map();
  out.own = (/** @type {string} */ type) => (/^\w+$/.test(type) ? style.getPropertyValue(`--type-${type}`).trim() : '');
  return /** @type {Theme} */ (out);
}

/** Colour and shape of a type; a type not in the table gets a stable one from its name. @param {Theme} theme @param {string} type @returns {TypeLook} */
export function typeLook(theme, type) {
  if (typeof type !== 'string') return typeLook(theme, 'COMBO');
  const known = theme.types.get(type);
  if (known) return known;
  const look = lookOf(theme, type);
  theme.types.set(type, look);
  return look;
}

/** @param {Theme} theme @param {string} type @returns {TypeLook} */
function lookOf(theme, type) {
  const row = TYPES[type] ?? TYPES[type.split(',')[0]];
  const own = theme.forced ? theme.text : theme.own(type.split(',')[0]);
  if (row) return { hue: own || row[theme.dark ? 0 : 1], shape: row[2] };
  const n = hash(type);
  const hue = own || (theme.dark ? `hsl(${n % 360} 52% 70%)` : `hsl(${n % 360} 55% 38%)`);
  return { hue, shape: SHAPES[(n >> 9) % SHAPES.length] };
}

/** @param {string} text */
export function hash(text) {
  let n = 2166136261;
  for (let i = 0; i < text.length; i++) n = Math.imul(n ^ text.charCodeAt(i), 16777619);
  return n >>> 0;
}

/** Brightness 0..1 of a CSS colour written as hex or rgb(). @param {string} colour */
export function luminance(colour) {
  const hex = /^#([0-9a-f]{3,8})$/i.exec(colour);
  let parts = [0, 0, 0];
  if (hex) {
    const h = hex[1].length < 6 ? [...hex[1]].map((c) => c + c).join('') : hex[1];
    parts = [0, 2, 4].map((i) => parseInt(h.slice(i, i + 2), 16));
  } else {
    const numbers = colour.match(/[\d.]+/g);
    if (numbers) parts = numbers.slice(0, 3).map(Number);
  }
  return (0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]) / 255;
}
