/** The editor's own page, driven as the other one is. Evaluated in the page. */

() => {
  const { app } = window.__test;
  const { stage } = app.canvas;
  window.bench = {
    open: (json) => window.__test.open(json),
    camera: (x, y, scale) => app.active.value.setCamera({ x, y, scale }),
    pan(dx, dy) {
      stage.camera.pan(dx, dy);
      stage.moved('pan');
    },
    zoom(factor) {
      stage.camera.zoom(factor, stage.camera.width / 2, stage.camera.height / 2);
      stage.moved('zoom');
    },
    target: stage.surface,
    title: (id) => window.__test.counters.at({ node: id }),
  };
};
