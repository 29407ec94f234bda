/** Colours that files carry were chosen for a dark page; here they become a tint that suits the theme. */

/** @typedef {{head: string, body: string, line: string, wash: string, ink: string}} Tint */

/** @type {WeakMap<import('./theme.js').Theme, Map<string, Tint>>} */
const known = new WeakMap();

/** @param {import('./theme.js').Theme} theme @param {string} colour @returns {Tint} */
export function tint(theme, colour) {
  let map = known.get(theme);
  if (!map) known.set(theme, (map = new Map()));
  let found = map.get(colour);
  if (!found) map.set(colour, (found = mix(theme, colour)));
  return found;
}

/** @param {import('./theme.js').Theme} theme @param {string} colour @returns {Tint} */
function mix(theme, colour) {
  if (theme.forced) return { head: theme.node, body: theme.node, line: theme.edge, wash: 'transparent', ink: theme.text };
  const [hue, saturation] = hueOf(colour);
  const s = Math.min(saturation, 0.55) * 100;
  const hsl = (/** @type {number} */ k, /** @type {number} */ l, a = 1) => `hsl(${hue} ${(s * k).toFixed(1)}% ${l}% / ${a})`;
  if (theme.dark) return { head: hsl(0.8, 25), body: hsl(0.55, 16.5), line: hsl(0.8, 50, 0.55), wash: hsl(0.8, 50, 0.1), ink: hsl(0.9, 76) };
  return { head: hsl(1, 84), body: hsl(0.9, 94), line: hsl(0.9, 55, 0.55), wash: hsl(1, 55, 0.1), ink: hsl(1, 32) };
}

/** Hue 0..360 and saturation 0..1 of a hex colour. @param {string} colour @returns {[number, number]} */
export function hueOf(colour) {
  const match = /^#?([0-9a-f]{3,8})$/i.exec(colour.trim());
  if (!match) return [215, 0.1];
  const hex = match[1].length < 6 ? [...match[1]].map((c) => c + c).join('') : match[1];
  const [r, g, b] = [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255);
  const hi = Math.max(r, g, b), lo = Math.min(r, g, b), d = hi - lo;
  if (!d) return [215, 0];
  const turn = hi === r ? ((g - b) / d + 6) % 6 : hi === g ? (b - r) / d + 2 : (r - g) / d + 4;
  const light = (hi + lo) / 2;
  return [Math.round(turn * 60), d / (1 - Math.abs(2 * light - 1))];
}
