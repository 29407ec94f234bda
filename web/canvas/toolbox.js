/** Buttons above the selection, and the corner box with zoom, fit and, for fingers, "select several". */

import { setColor, NODE_COLORS } from '../graph/edit.js';
import { bounds } from './mini.js';
import { fit } from './acts.js';
import { tint } from './tint.js';

/** @typedef {import('./stage.js').Stage} Stage */

const BUTTONS = ['runTo', 'mute', 'bypass', 'collapse', 'pin', 'tidy', 'subgraph', 'group', 'duplicate', 'delete'];
const ICONS = /** @type {Record<string, string>} */ ({ runTo: 'play', collapse: 'chevron-up', duplicate: 'copy' });
const SVG = 'http://www.w3.org/2000/svg';

/** @param {string} icon @param {string} label @param {(event: MouseEvent) => void} act */
function button(icon, label, act) {
  const element = document.createElement('button');
  element.type = 'button';
  element.title = label;
  element.setAttribute('aria-label', label);
  const picture = document.createElementNS(SVG, 'svg');
  picture.setAttribute('width', '16');
  picture.setAttribute('height', '16');
  picture.setAttribute('class', 'icon');
  picture.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `vendor/icons.svg#${icon}`);
  picture.append(use);
  element.append(picture);
  element.addEventListener('click', act);
  return element;
}

export class Toolbox {
  /** @param {Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.bar = document.createElement('div');
    this.bar.className = 'toolbox';
    this.bar.setAttribute('role', 'toolbar');
    this.bar.hidden = true;
    this.corner = document.createElement('div');
    this.corner.className = 'zoombox';
    for (const box of [this.bar, this.corner]) {
      box.addEventListener('pointerdown', (event) => event.stopPropagation());
      box.addEventListener('wheel', (event) => event.stopPropagation());
    }
    this.fill();
  }

  /** Makes the buttons; called again when the language changes. */
  fill() {
    const { stage, bar, corner } = this;
    const { app } = stage;
    const { commands } = app;
    bar.setAttribute('aria-label', app.t('toolbox.label'));
    const list = BUTTONS.flatMap((id) => {
      const command = commands?.all?.get(id);
      if (!command) return [];
      const hint = commands.hint(id);
      return [button(ICONS[id] ?? command.icon ?? 'circle', `${app.t(command.title)}${hint ? `  ${hint}` : ''}`, (event) => {
        commands.run(id, event);
        stage.focus();
      })];
    });
    const palette = button('palette', app.t('toolbox.color'), () => this.colours(palette));
    const more = button('ellipsis', app.t('toolbox.more'), () => this.more(more));
    bar.replaceChildren(...list.slice(0, 5), palette, ...list.slice(5), more);
    const zoom = (/** @type {number} */ factor) => () => {
      stage.camera.zoom(factor, stage.camera.width / 2, stage.camera.height / 2);
      stage.moved('zoom');
    };
    const several = button('square-mouse-pointer', app.t('touch.several'), () => {
      stage.multi = !stage.multi;
      several.setAttribute('aria-pressed', String(stage.multi));
    });
    several.className = 'for-fingers';
    several.setAttribute('aria-pressed', 'false');
    corner.replaceChildren(button('minus', app.t('view.out'), zoom(0.8)), button('plus', app.t('view.in'), zoom(1.25)), button('maximize', app.t('view.all'), () => fit(stage)), several);
  }

  /** A row of colours under the button. @param {HTMLElement} anchor */
  colours(anchor) {
    const { stage } = this;
    const old = this.bar.querySelector('.swatches');
    if (old) return old.remove();
    const row = document.createElement('div');
    row.className = 'swatches';
    for (const name of [null, ...Object.keys(NODE_COLORS)]) {
      const swatch = document.createElement('button');
      swatch.type = 'button';
      swatch.title = stage.app.t(`color.${name ?? 'none'}`);
      swatch.setAttribute('aria-label', swatch.title);
      const colour = name ? tint(stage.theme, NODE_COLORS[/** @type {keyof typeof NODE_COLORS} */ (name)][1]).line : stage.theme.title;
      swatch.style.setProperty('--swatch', colour);
      swatch.addEventListener('click', () => {
        row.remove();
        stage.doc.edit(stage.app.t('edit.color'), (/** @type {any} */ e) => setColor(e, [...stage.doc.selection.nodes], name));
        stage.focus();
      });
      row.append(swatch);
    }
    row.style.left = `${anchor.offsetLeft - 80}px`;
    this.bar.append(row);
  }

  /** The node's menu. @param {HTMLElement} anchor */
  more(anchor) {
    const [id] = this.stage.doc.selection.nodes;
    const box = anchor.getBoundingClientRect();
    if (id !== undefined) this.stage.app.ui.contextMenu({ kind: 'node', id }, [box.left, box.bottom + 4]);
  }

  /** Shows the bar above what is selected, or hides it. */
  place() {
    const { stage, bar } = this;
    const { nodes } = stage.doc.selection;
    const box = nodes.size && !stage.tool && !stage.drag ? bounds(stage.graph, nodes) : null;
    if (!box || stage.camera.scale < 0.12) {
      if (!bar.hidden) bar.hidden = true;
      return;
    }
    if (bar.hidden) {
      bar.querySelector('.swatches')?.remove();
      bar.hidden = false;
    }
    const a = stage.camera.toScreen(box.x, box.y), b = stage.camera.toScreen(box.x + box.w, box.y + box.h);
    const { width, height } = stage.camera;
    const wide = this.width ||= bar.offsetWidth, high = 36;
    const out = b.x < 0 || a.x > width || b.y < 0 || a.y > height;
    bar.style.visibility = out ? 'hidden' : '';
    const x = Math.max(8, Math.min((a.x + b.x) / 2 - wide / 2, width - wide - 8));
    // Above the time that a finished node carries on top; under one that has more to say.
    const gap = [...nodes].some((id) => stage.active.has(id)) ? 34 * Math.max(1, stage.camera.scale) : 22;
    const told = [...nodes].some((id) => stage.doc.run.stateOf(stage.doc, id).error || stage.doc.run.notes.has(stage.doc.key(id)));
    const y = !told && a.y - high - gap > 8 ? a.y - high - gap : Math.max(8, Math.min(b.y + 12, height - high - 8));
    bar.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
  }

  /** @type {number} */ width = 0;
}
