/** Text in PNG files: tEXt, iTXt and zTXt chunks, where pictures carry the workflow that made them. */

/** @param {ArrayBuffer} buffer @returns {Promise<Record<string, string>>} */
export async function pngText(buffer) {
  const view = new DataView(buffer);
  /** @type {Record<string, string>} */ const texts = {};
  if (buffer.byteLength < 8 || view.getUint32(0) !== 0x89504e47) return texts;
  for (let at = 8; at + 12 <= buffer.byteLength; ) {
    const length = view.getUint32(at);
    const type = ascii(new Uint8Array(buffer, at + 4, 4));
    if (at + 12 + length > buffer.byteLength || type === 'IEND') break;
    const data = new Uint8Array(buffer, at + 8, length);
    if (type === 'tEXt' || type === 'iTXt' || type === 'zTXt') Object.assign(texts, await readText(type, data));
    at += 12 + length;
  }
  return texts;
}

/** @param {Uint8Array} bytes */
function ascii(bytes) {
  return String.fromCharCode(...bytes);
}

/** @param {string} type @param {Uint8Array} data @returns {Promise<Record<string, string>>} */
async function readText(type, data) {
  const end = data.indexOf(0);
  if (end < 1 || end > 79) return {};
  const key = new TextDecoder('latin1').decode(data.subarray(0, end));
  if (type === 'tEXt') return { [key]: new TextDecoder(looksUtf8(data.subarray(end + 1)) ? 'utf-8' : 'latin1').decode(data.subarray(end + 1)) };
  if (type === 'zTXt') return { [key]: new TextDecoder('latin1').decode(await inflate(data.subarray(end + 2))) };
  const packed = data[end + 1] === 1;
  const language = data.indexOf(0, end + 3);
  const translated = data.indexOf(0, language + 1);
  const rest = data.subarray(translated + 1);
  return { [key]: new TextDecoder().decode(packed ? await inflate(rest) : rest) };
}

/** @param {Uint8Array} bytes */
function looksUtf8(bytes) {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** @param {Uint8Array} bytes @returns {Promise<ArrayBuffer>} */
async function inflate(bytes) {
  const stream = new Blob([/** @type {any} */ (bytes)]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Response(stream).arrayBuffer();
}
