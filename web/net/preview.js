/** Binary frames of the event stream, big-endian: a number for the kind, then its payload. */

/** @typedef {{event: 'preview', blob: Blob, node?: string, prompt?: string}|{event: 'progress_text', node: string, text: string}} Frame */

const PREVIEW = 1;
const TEXT = 3;
const PREVIEW_WITH_METADATA = 4;

/** @param {ArrayBuffer} data @returns {Frame|null} null for a kind it does not know or a frame cut short */
export function readFrame(data) {
  if (data.byteLength < 8) return null;
  const view = new DataView(data);
  const kind = view.getUint32(0);
  const second = view.getUint32(4);
  if (kind === PREVIEW) return { event: 'preview', blob: new Blob([data.slice(8)], { type: second === 2 ? 'image/png' : 'image/jpeg' }) };
  if (8 + second > data.byteLength) return null;
  const head = new TextDecoder().decode(data.slice(8, 8 + second));
  const rest = data.slice(8 + second);
  if (kind === TEXT) return { event: 'progress_text', node: head, text: new TextDecoder().decode(rest) };
  if (kind !== PREVIEW_WITH_METADATA) return null;
  const told = JSON.parse(head);
  return { event: 'preview', blob: new Blob([rest], { type: told.image_type ?? 'image/jpeg' }), node: told.display_node_id ?? told.node_id, prompt: told.prompt_id };
}
