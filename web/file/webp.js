/** Text in WebP (and JPEG) files: the EXIF strings "workflow:{...}" and "prompt:{...}" that ComfyUI writes. */

/** @param {ArrayBuffer} buffer @returns {Record<string, string>} */
export function exifText(buffer) {
  const bytes = new Uint8Array(buffer);
  const exif = webpExif(buffer) ?? jpegExif(bytes);
  return exif ? readStrings(exif) : {};
}

/** @param {ArrayBuffer} buffer @returns {Uint8Array|null} */
function webpExif(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 12 || view.getUint32(0) !== 0x52494646 || view.getUint32(8) !== 0x57454250) return null;
  for (let at = 12; at + 8 <= buffer.byteLength; ) {
    const size = view.getUint32(at + 4, true);
    if (view.getUint32(at) === 0x45584946) return new Uint8Array(buffer, at + 8, Math.min(size, buffer.byteLength - at - 8));
    at += 8 + size + (size % 2);
  }
  return null;
}

/** @param {Uint8Array} bytes @returns {Uint8Array|null} */
function jpegExif(bytes) {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return null;
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const size = bytes[at + 2] * 256 + bytes[at + 3];
    if (bytes[at + 1] === 0xe1) return bytes.subarray(at + 4, at + 2 + size);
    if (bytes[at + 1] === 0xda) return null;
    at += 2 + size;
  }
  return null;
}

/** The ASCII values of the first directory. @param {Uint8Array} exif @returns {Record<string, string>} */
function readStrings(exif) {
  const start = String.fromCharCode(...exif.subarray(0, 4)) === 'Exif' ? 6 : 0;
  const data = exif.subarray(start);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  /** @type {Record<string, string>} */ const texts = {};
  if (data.byteLength < 8) return texts;
  const little = data[0] === 0x49;
  const first = view.getUint32(4, little);
  if (first + 2 > data.byteLength) return texts;
  const count = view.getUint16(first, little);
  for (let i = 0; i < count; i++) {
    const at = first + 2 + i * 12;
    if (at + 12 > data.byteLength) break;
    if (view.getUint16(at + 2, little) !== 2) continue;
    const length = view.getUint32(at + 4, little);
    const offset = length > 4 ? view.getUint32(at + 8, little) : at + 8;
    if (offset + length > data.byteLength) continue;
    const text = new TextDecoder().decode(data.subarray(offset, offset + length)).replace(/\0+$/, '');
    const colon = text.indexOf(':');
    if (colon > 0 && colon < 40) texts[text.slice(0, colon)] = text.slice(colon + 1);
  }
  return texts;
}
