/** The same graph on litegraph: node types made from the server's definitions, with their widgets. */

import { LGraph, LGraphCanvas, LGraphNode, LiteGraph } from './node_modules/@comfyorg/litegraph/dist/litegraph.es.js';

const WIDGETS = { INT: 'number', FLOAT: 'number', STRING: 'text', BOOLEAN: 'toggle', COMBO: 'combo' };

/** @param {Record<string, any>} info */
function register(info) {
  for (const [type, def] of Object.entries(info)) {
    LiteGraph.registerNodeType(type, class extends LGraphNode {
      static title = def.display_name;
      constructor(title) {
        super(title);
        for (const [name, [kind, options]] of Object.entries({ ...def.input.required, ...def.input.optional })) {
          const widget = WIDGETS[Array.isArray(kind) ? 'COMBO' : kind];
          if (!widget) this.addInput(name, kind);
          else this.addWidget(widget, name, options?.default ?? (Array.isArray(kind) ? kind[0] : ''), () => {}, { ...options, values: Array.isArray(kind) ? kind : undefined });
          if (options?.control_after_generate) this.addWidget('combo', 'control_after_generate', 'fixed', () => {}, { values: ['fixed', 'randomize'] });
        }
        def.output.forEach((kind, i) => this.addOutput(def.output_name[i], kind));
        this.serialize_widgets = true;
      }
    });
  }
}

const canvas = /** @type {HTMLCanvasElement} */ (document.getElementById('canvas'));
const graph = new LGraph();
/** @type {LGraphCanvas} */ let view;

window.bench = {
  setup(info) {
    register(info);
    canvas.width = innerWidth;
    canvas.height = innerHeight;
    view = new LGraphCanvas(canvas, graph);
    view.resize(innerWidth, innerHeight);
  },
  open(json) {
    graph.configure(structuredClone(json));
    view.setDirty(true, true);
  },
  camera(x, y, scale) {
    view.ds.scale = scale;
    view.ds.offset[0] = x;
    view.ds.offset[1] = y;
    view.setDirty(true, true);
  },
  pan(dx, dy) {
    view.ds.offset[0] += dx / view.ds.scale;
    view.ds.offset[1] += dy / view.ds.scale;
    view.setDirty(true, true);
  },
  zoom(factor) {
    view.ds.changeScale(view.ds.scale * factor, [innerWidth / 2, innerHeight / 2]);
    view.setDirty(true, true);
  },
  target: canvas,
  title(id) {
    const node = graph.getNodeById(id);
    return [(node.pos[0] + 60 + view.ds.offset[0]) * view.ds.scale, (node.pos[1] - 15 + view.ds.offset[1]) * view.ds.scale];
  },
};
