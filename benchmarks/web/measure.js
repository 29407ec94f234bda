/** Measures: the time from one animation frame to the next while something is done in each. Evaluated in the page. */

() => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));

  async function frames(count, step) {
    /** @type {number[]} */ const times = [];
    for (let i = 0; i < 4; i++) await frame();
    let last = performance.now();
    for (let i = 0; i < count; i++) {
      step(i);
      await frame();
      const now = performance.now();
      times.push(now - last);
      last = now;
    }
    return times;
  }

  const fire = (kind, x, y, buttons) =>
    window.bench.target.dispatchEvent(new PointerEvent(kind, { bubbles: true, cancelable: true, composed: true, pointerId: 1, isPrimary: true, pointerType: 'mouse', button: kind === 'pointermove' ? -1 : 0, buttons, clientX: x, clientY: y }));

  window.measure = {
    pan: (count) => frames(count, (i) => window.bench.pan(i % 40 < 20 ? 11 : -11, i % 2 ? 4 : -3)),
    zoom: (count) => frames(count, (i) => window.bench.zoom(i % 20 < 10 ? 1.02 : 1 / 1.02)),
    async drag(count, id) {
      const [x, y] = window.bench.title(id);
      fire('pointermove', x, y, 0);
      fire('pointerdown', x, y, 1);
      fire('pointermove', x + 8, y, 1);
      await frame();
      const times = await frames(count, (i) => fire('pointermove', x + 20 + (i % 60) * 3, y + (i % 30) * 2, 1));
      fire('pointerup', x + 20, y, 0);
      await frame();
      return times;
    },
    async open(text) {
      const json = JSON.parse(text);
      const start = performance.now();
      window.bench.open(json);
      await frame();
      await frame();
      return performance.now() - start;
    },
    heap: () => performance.memory?.usedJSHeapSize ?? 0,
  };
};
