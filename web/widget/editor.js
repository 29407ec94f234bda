/** The one DOM editor: an element laid over the widget that is being edited, which follows the camera. */

/** @typedef {import('./field.js').Target} Target */

export class Editor {
  /** @param {import('../canvas/stage.js').Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.layer = document.createElement('div');
    this.layer.className = 'widget-layer';
    /** @type {{target: Target, element: HTMLElement, save: (() => void) | null} | null} */
    this.active = null;
  }

  /**
   * @param {Target} target @param {HTMLElement} element
   * @param {(() => void) | null} save called when the edit is kept
   * @param {HTMLElement} [focus] what takes the keys
   */
  open(target, element, save, focus = element) {
    this.close();
    this.active = { target, element, save };
    element.addEventListener('keydown', (event) => this.key(event));
    element.addEventListener('focusout', (event) => {
      if (!element.contains(/** @type {Node | null} */ (event.relatedTarget))) this.close();
    });
    element.setAttribute('aria-label', target.widget.label || target.widget.name);
    this.layer.append(element);
    this.place();
    focus.focus({ preventScroll: true });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    event.stopPropagation();
    const area = event.target instanceof HTMLTextAreaElement;
    if (event.key === 'Escape') this.close(false);
    else if (event.key === 'Enter' && (!area || event.ctrlKey || event.metaKey) && this.active?.save) this.close();
    else if (event.key === 'Tab') this.next(event.shiftKey);
    else return;
    event.preventDefault();
  }

  /** Keeps the edit and goes on to the next widget of the node. @param {boolean} back */
  next(back) {
    if (!this.active) return;
    const { node, widget } = this.active.target;
    this.close();
    const list = node.widgets.filter((w) => !w.hidden);
    const other = list[list.indexOf(widget) + (back ? -1 : 1)];
    if (other) this.stage.openWidget(node, other);
  }

  /** @param {boolean} [keep] */
  close(keep = true) {
    const active = this.active;
    if (!active) return;
    this.active = null;
    if (keep) active.save?.();
    const had = active.element.contains(document.activeElement);
    active.element.remove();
    if (had) this.stage.focus();
    this.stage.mark('over', 'editor');
  }

  /** Lays the element over its widget; called when the camera moves. */
  place() {
    if (!this.active) return;
    const { target, element } = this.active;
    const { camera } = this.stage;
    const box = this.stage.widgetBox(target.node, target.widget) ?? target.box;
    const at = camera.toScreen(box.x, box.y);
    const style = element.style;
    if (element.className === 'widget-list') {
      const width = Math.max(180, Math.min(420, box.w * camera.scale));
      style.width = `${width}px`;
      style.left = `${Math.max(4, Math.min(at.x, camera.width - width - 4))}px`;
      const below = camera.height - at.y - box.h * camera.scale;
      const up = below < 240 && at.y > below;
      style.top = up ? 'auto' : `${at.y + box.h * camera.scale + 2}px`;
      style.bottom = up ? `${camera.height - at.y + 2}px` : 'auto';
      style.maxHeight = `${Math.max(120, Math.min(360, (up ? at.y : below) - 12))}px`;
      return;
    }
    const scale = Math.max(camera.scale, 0.75);
    style.left = `${at.x}px`;
    style.top = `${at.y}px`;
    style.width = `${(box.w * camera.scale) / scale}px`;
    style.height = `${(box.h * camera.scale) / scale}px`;
    style.transform = `scale(${scale})`;
  }
}
