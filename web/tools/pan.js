/** Moving and zooming the camera by dragging. */

/** @typedef {import('../canvas/stage.js').Stage} Stage */
/** @typedef {import('./tool.js').Press} Press */
/** @typedef {import('./tool.js').Tool} Tool */

/** @param {Stage} stage @param {Press} press @param {(p: Press) => void} [still] what a press without a move means @returns {Tool} */
export function pan(stage, press, still) {
  let last = press.screen;
  return {
    name: 'pan',
    cursor: 'grabbing',
    move(p) {
      stage.camera.pan(p.screen.x - last.x, p.screen.y - last.y);
      last = p.screen;
      stage.moved('pan');
    },
    end(p) {
      if (p.still) still?.(p);
    },
    cancel() {},
  };
}

/** Ctrl+Shift+drag: up is closer, down is farther. @param {Stage} stage @param {Press} press @returns {Tool} */
export function zoom(stage, press) {
  let last = press.screen.y;
  return {
    name: 'zoom',
    cursor: 'zoom-in',
    move(p) {
      stage.camera.zoom(Math.exp((last - p.screen.y) * 0.008), press.screen.x, press.screen.y);
      last = p.screen.y;
      stage.moved('zoom');
    },
    end() {},
    cancel() {},
  };
}
