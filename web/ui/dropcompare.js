/** A picture dropped on the gallery is laid over one that was made: the one it is dropped on, or the newest. */

/** @param {any} app @param {DragEvent} event @param {any[]} files those shown, newest first @param {(file: any) => string} keyOf as the cells carry it */
export function compareDropped(app, event, files, keyOf) {
  const dropped = [...(event.dataTransfer?.files ?? [])].find((file) => file.type.startsWith('image/'));
  if (!dropped || !files.length) return;
  event.preventDefault();
  event.stopPropagation();
  const key = /** @type {HTMLElement|null} */ (/** @type {Element} */ (event.target).closest('[data-file]'))?.dataset.file;
  const made = files.find((file) => keyOf(file) === key) ?? files[0];
  const url = URL.createObjectURL(dropped);
  void app.ui.compare(url, app.api.viewUrl(made)).then(() => URL.revokeObjectURL(url));
}
