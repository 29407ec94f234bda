/** Text in video, audio and model files: the workflow as JSON among MP4/WebM/FLAC tags, or in a safetensors header. */

const LIMIT = 64 * 2 ** 20;

/** @param {ArrayBuffer} buffer @returns {Record<string, string>} */
export function containerText(buffer) {
  const bytes = new Uint8Array(buffer, 0, Math.min(buffer.byteLength, LIMIT));
  return { ...safetensorsText(buffer), ...tagText(bytes) };
}

/** @param {ArrayBuffer} buffer @returns {Record<string, string>} */
export function safetensorsText(buffer) {
  if (buffer.byteLength < 16) return {};
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  if (length > Math.min(buffer.byteLength - 8, LIMIT) || new Uint8Array(buffer)[8] !== 0x7b) return {};
  try {
    return JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length))).__metadata__ ?? {};
  } catch {
    return {};
  }
}

/** Finds `{...}` after the words workflow and prompt anywhere in a file. @param {Uint8Array} bytes @returns {Record<string, string>} */
function tagText(bytes) {
  const text = new TextDecoder('latin1').decode(bytes);
  /** @type {Record<string, string>} */ const texts = {};
  for (const key of ['workflow', 'prompt']) {
    for (let at = text.search(new RegExp(key, 'i')); at >= 0; at = next(text, key, at + 1)) {
      const start = text.indexOf('{', at);
      if (start < 0 || start - at > 200) continue;
      const end = closing(text, start);
      if (end < 0) continue;
      const json = new TextDecoder().decode(bytes.subarray(start, end + 1));
      try {
        JSON.parse(json);
        texts[key] = json;
        break;
      } catch {
        // Not this one.
      }
    }
  }
  return texts;
}

/** @param {string} text @param {string} key @param {number} from */
function next(text, key, from) {
  const rest = text.slice(from).search(new RegExp(key, 'i'));
  return rest < 0 ? -1 : from + rest;
}

/** Index of the brace that closes the one at `start`. @param {string} text @param {number} start */
function closing(text, start) {
  let depth = 0;
  let quoted = false;
  for (let i = start; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c === '\\') i++;
      else if (c === '"') quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === '{') depth++;
    else if (c === '}' && --depth === 0) return i;
  }
  return -1;
}
