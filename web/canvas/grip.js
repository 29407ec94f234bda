/** What makes a picture on a node something one can drag out of the page: an invisible element over the picture under the pointer. */

/** @typedef {import('./media.js').Item} Item */
/** @typedef {import('./camera.js').Rect} Rect */

export class Grip {
  /** @param {import('./stage.js').Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.element = document.createElement('div');
    this.element.className = 'grip';
    this.element.draggable = true;
    this.element.hidden = true;
    this.element.setAttribute('aria-hidden', 'true');
    this.picture = new Image();
    /** @type {Item | null} */ this.item = null;
    this.element.addEventListener('dragstart', (event) => this.begin(event));
    this.element.addEventListener('dragend', () => stage.focus());
  }

  /** Lies over a picture, or over nothing. @param {{item: Item, box: Rect} | null} found box in graph units */
  over(found) {
    const { element, stage } = this;
    if (!found) {
      element.hidden = true;
      this.item = null;
      return;
    }
    const a = stage.camera.toScreen(found.box.x, found.box.y);
    element.style.transform = `translate(${a.x}px, ${a.y}px)`;
    element.style.width = `${found.box.w * stage.camera.scale}px`;
    element.style.height = `${found.box.h * stage.camera.scale}px`;
    element.hidden = false;
    if (this.item?.url !== found.item.url) this.picture.src = found.item.url;
    this.item = found.item;
  }

  /** A picture leaves the page: a file for the desktop, an address for other programs, and itself for nodes of ours. @param {DragEvent} event */
  begin(event) {
    const { item } = this;
    const data = event.dataTransfer;
    if (!item || !data || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return event.preventDefault();
    const url = new URL(item.full, location.href).href;
    data.effectAllowed = 'copy';
    data.setData('text/uri-list', url);
    data.setData('DownloadURL', `${typeOf(item.name)}:${item.name.replaceAll(':', '_')}:${url}`);
    data.setData('application/x-latent-loom-file', JSON.stringify(item.file));
    if (this.picture.complete && this.picture.naturalWidth) data.setDragImage(this.picture, Math.min(this.picture.naturalWidth, 256) / 2, Math.min(this.picture.naturalHeight, 256) / 2);
  }
}

const TYPES = /** @type {Record<string, string>} */ ({ png: 'image/png', webp: 'image/webp', jpg: 'image/jpeg', jpeg: 'image/jpeg', gif: 'image/gif', mp4: 'video/mp4', webm: 'video/webm', flac: 'audio/flac', mp3: 'audio/mpeg' });

/** @param {string} name of a file */
function typeOf(name) {
  return TYPES[name.split('.').pop()?.toLowerCase() ?? ''] ?? 'application/octet-stream';
}
