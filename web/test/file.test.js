import assert from 'node:assert/strict';
import test from 'node:test';
import { deflateSync } from 'node:zlib';
import { readFile, fromJson } from '../file/read.js';
import { workflowFromPrompt } from '../file/prompt.js';
import { graphToPrompt } from '../graph/prompt.js';
import { readFrame } from '../net/preview.js';
import { defs, txt2img } from './fixture.js';

const WORKFLOW = { nodes: [{ id: 1, type: 'VAEDecode' }], links: [], version: 0.4, note: 'слово' };
const PROMPT = { 1: { class_type: 'VAEDecode', inputs: {} } };

/** @param {string} type @param {Buffer} data */
function chunk(type, data) {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(data.length);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, data, Buffer.alloc(4)]);
}

/** @param {Buffer[]} chunks */
const png = (chunks) => new File([Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]), chunk('IHDR', Buffer.alloc(13)), ...chunks, chunk('IEND', Buffer.alloc(0))])], 'a.png', { type: 'image/png' });

test('a workflow is found in tEXt, zTXt and iTXt chunks, packed or not', async () => {
  const json = Buffer.from(JSON.stringify(WORKFLOW));
  const ascii = Buffer.from(JSON.stringify({ ...WORKFLOW, note: '' }));
  for (const part of [chunk('tEXt', Buffer.concat([Buffer.from('workflow\0'), ascii])), chunk('zTXt', Buffer.concat([Buffer.from('workflow\0\0'), deflateSync(ascii)])), chunk('iTXt', Buffer.concat([Buffer.from('workflow\0\0\0\0\0'), json])), chunk('iTXt', Buffer.concat([Buffer.from('workflow\0\x01\0\0\0'), deflateSync(json)]))]) {
    const { workflow } = await readFile(png([part]));
    assert.equal(workflow.nodes[0].type, 'VAEDecode');
  }
});

test('a file cut short or full of nonsense finds nothing and does not throw', async () => {
  const whole = Buffer.from(await png([chunk('tEXt', Buffer.from('workflow\0{}'))]).arrayBuffer());
  for (let n = 0; n < whole.length; n += 3) await readFile(new File([whole.subarray(0, n)], 'a.png', { type: 'image/png' }));
  for (const name of ['a.webp', 'a.jpg', 'a.mp4', 'a.safetensors']) await readFile(new File([Buffer.from('RIFF\xff\xff\xff\xffWEBPEXIF\xff\xff\xff\x7f workflow {"a": [', 'latin1')], name));
});

test('EXIF of a WebP carries workflow and prompt', async () => {
  const text = Buffer.from(`workflow:${JSON.stringify(WORKFLOW)}\0`);
  const tiff = Buffer.alloc(8 + 2 + 12 + 4);
  tiff.write('II*\0', 0, 'latin1');
  tiff.writeUInt32LE(8, 4);
  tiff.writeUInt16LE(1, 8);
  tiff.writeUInt16LE(0x010f, 10);
  tiff.writeUInt16LE(2, 12);
  tiff.writeUInt32LE(text.length, 14);
  tiff.writeUInt32LE(tiff.length, 18);
  const exif = Buffer.concat([tiff, text]);
  const head = Buffer.alloc(20);
  head.write('RIFF\0\0\0\0WEBPEXIF', 0, 'latin1');
  head.writeUInt32LE(exif.length, 16);
  const { workflow } = await readFile(new File([head, exif], 'a.webp', { type: 'image/webp' }));
  assert.equal(workflow.note, 'слово');
});

test('a film and a safetensors file carry it too', async () => {
  const film = Buffer.concat([Buffer.from([0, 0, 1, 0]), Buffer.from(`....workflow\0\0data${JSON.stringify(WORKFLOW)}....`)]);
  assert.equal((await readFile(new File([film], 'a.mp4'))).workflow.version, 0.4);
  const header = Buffer.from(JSON.stringify({ __metadata__: { prompt: JSON.stringify(PROMPT) } }));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.length));
  assert.deepEqual((await readFile(new File([size, header], 'a.latent'))).prompt, PROMPT);
});

test('text is a workflow, a prompt, a request body, or nothing', () => {
  assert.ok(fromJson(JSON.stringify(WORKFLOW)).workflow);
  assert.ok(fromJson(JSON.stringify(PROMPT)).prompt);
  assert.ok(fromJson(JSON.stringify({ prompt: PROMPT })).prompt);
  assert.deepEqual(fromJson('{"a": 1}'), { text: {} });
  assert.deepEqual(fromJson('hello'), { text: {} });
});

test('a prompt becomes a graph that makes the same prompt', async () => {
  const { flow, latent } = txt2img();
  const prompt = graphToPrompt(flow);
  prompt[String(latent.id)].inputs.width = 640;
  const { flow: made, missing } = await workflowFromPrompt(prompt, defs());
  assert.deepEqual(missing, []);
  assert.deepEqual(graphToPrompt(made), prompt);
  const places = new Set([...made.root.nodes.values()].map((node) => String(node.pos)));
  assert.equal(places.size, made.root.nodes.size);
});

test('preview frames: both kinds, and what is cut short', () => {
  const told = Buffer.from(JSON.stringify({ node_id: '3', prompt_id: 'p', image_type: 'image/png' }));
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(4);
  frame.writeUInt32BE(told.length, 4);
  const whole = Buffer.concat([frame, told, Buffer.from('pixels')]);
  const bytes = (/** @type {Buffer} */ one) => /** @type {ArrayBuffer} */ (one.buffer.slice(one.byteOffset, one.byteOffset + one.length));
  const read = readFrame(bytes(whole));
  assert.ok(read?.event === 'preview' && read.node === '3' && read.blob.size === 6);
  assert.equal(readFrame(bytes(whole.subarray(0, 20))), null);
  const old = Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 9]);
  const legacy = readFrame(bytes(old));
  assert.ok(legacy?.event === 'preview' && legacy.blob.type === 'image/jpeg');
});
