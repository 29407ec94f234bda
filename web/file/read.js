/** What a dropped file is: a workflow, a picture that carries one, or only a picture, a sound or a film. */

/** @typedef {{workflow?: any, prompt?: any, text: Record<string, string>}} Found */

const MAX_BYTES = 512 * 2 ** 20;

/** @param {Blob & {name?: string}} file @returns {Promise<Found>} */
export async function readFile(file) {
  if (file.size > MAX_BYTES) return { text: {} };
  const name = (file.name ?? '').toLowerCase();
  if (name.endsWith('.json') || file.type === 'application/json') return fromJson(await file.text());
  const buffer = await file.arrayBuffer();
  const text = await textOf(buffer, file.type === 'image/png' || name.endsWith('.png'), /\.(webp|jpe?g)$/.test(name));
  return { text, workflow: parse(text.workflow), prompt: parse(text.prompt) };
}

/** @param {ArrayBuffer} buffer @param {boolean} png @param {boolean} picture */
async function textOf(buffer, png, picture) {
  if (png) return (await import('./png.js')).pngText(buffer);
  const [{ exifText }, { containerText }] = await Promise.all([import('./webp.js'), import('./video.js')]);
  return { ...exifText(buffer), ...(picture ? {} : containerText(buffer)) };
}

/** A file's text, or text from the clipboard. @param {string} text @returns {Found} */
export function fromJson(text) {
  const data = parse(text);
  if (Array.isArray(data?.nodes)) return { workflow: data, text: {} };
  if (isPrompt(data)) return { prompt: data, text: {} };
  if (isPrompt(data?.prompt)) return { prompt: data.prompt, workflow: data.extra_data?.extra_pnginfo?.workflow, text: {} };
  return { text: {} };
}

/** @param {any} data */
function isPrompt(data) {
  return Boolean(data) && typeof data === 'object' && !Array.isArray(data) && Object.values(data).length > 0 && Object.values(data).every((node) => typeof (/** @type {any} */ (node)?.class_type) === 'string');
}

/** @param {string|undefined} text @returns {any} */
function parse(text) {
  if (!text) return undefined;
  try {
    return JSON.parse(text.replace(/\bNaN\b/g, 'null'));
  } catch {
    return undefined;
  }
}
