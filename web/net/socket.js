/** The server's event stream: JSON messages and binary previews; it reconnects by itself, ever more patiently. */

import { signal } from '../vendor/preact.js';
import { Emitter } from '../store/events.js';
import { readFrame } from './preview.js';

const FEATURES = { supports_preview_metadata: true, supports_node_cost: true };

export class Socket extends Emitter {
  /** @param {import('./api.js').Api} api */
  constructor(api) {
    super();
    this.api = api;
    /** @type {import('../vendor/preact.js').Signal<'connecting'|'open'|'lost'>} */ this.state = signal('connecting');
    /** @type {WebSocket|null} */ this.socket = null;
    this.tries = 0;
    this.everOpen = false;
    addEventListener('online', () => this.socket === null && this.connect());
  }

  connect() {
    clearTimeout(this.timer);
    const url = new URL(`${this.api.base || location.origin}/ws`, location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    url.searchParams.set('clientId', this.api.clientId);
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    this.socket = socket;
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: 'feature_flags', data: FEATURES }));
      // Runs begun in a browser tab that is closed now are watched too; a server that does not know the word ignores it.
      socket.send(JSON.stringify({ type: 'watch', data: { jobs: ['*'] } }));
      this.tries = 0;
      this.state.value = 'open';
      this.emit('open', { again: this.everOpen });
      this.everOpen = true;
    };
    socket.onmessage = ({ data }) => (typeof data === 'string' ? this.text(data) : this.binary(data));
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.state.value = 'lost';
      this.timer = setTimeout(() => this.connect(), Math.min(15_000, 400 * 1.7 ** this.tries++));
    };
  }

  /** @param {string} data */
  text(data) {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (message?.type) this.emit(message.type, message.data ?? {});
  }

  /** @param {ArrayBuffer} data */
  binary(data) {
    const frame = readFrame(data);
    if (frame) this.emit(frame.event, frame);
  }
}
