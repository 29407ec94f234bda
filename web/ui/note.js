/** A note as its author meant it: markdown as clean HTML, in a dialog one can read and follow links from. */

import { html, useLayoutEffect, useRef, useState } from '../vendor/preact.js';
import { valueOf } from '../graph/model.js';
import { Modal } from './dialogs.js';

const TAGS = ['p', 'br', 'hr', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'ul', 'ol', 'li', 'blockquote', 'pre', 'code', 'em', 'strong', 'del', 'a', 'table', 'thead', 'tbody', 'tr', 'th', 'td'];

/** The note as a tree of known tags; pictures from elsewhere are not asked for, links open beside the editor. @param {string} text @returns {Promise<DocumentFragment>} */
async function cleaned(text) {
  const { DOMPurify, marked } = await import('../vendor/markdown.js');
  const tree = DOMPurify.sanitize(String(marked.parse(text)), { ALLOWED_TAGS: TAGS, ALLOWED_ATTR: ['href'], RETURN_DOM_FRAGMENT: true });
  for (const link of tree.querySelectorAll('a')) {
    if (!/^https?:\/\//i.test(link.getAttribute('href') ?? '')) link.removeAttribute('href');
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
    link.className = 'link';
  }
  return tree;
}

/** @param {{app: any, id: any, done: (value?: any) => void}} props */
export function Note({ app, id, done }) {
  const node = app.active.value.graph.node(id);
  const box = useRef(/** @type {any} */ (null));
  const [ready, setReady] = useState(false);
  const widget = node?.widgets[0];
  const text = widget ? String(valueOf(node, widget) ?? '') : '';
  useLayoutEffect(() => {
    if (node?.type === 'Note') return void (box.current.textContent = text);
    cleaned(text).then((tree) => {
      box.current?.replaceChildren(tree);
      setReady(true);
    });
  }, [text]);
  return html`<${Modal} app=${app} title=${node?.label ?? ''} done=${done}>
    <div class="modal-body note" tabindex="0" aria-busy=${!ready && node?.type !== 'Note'} ref=${box}></div>
  <//>`;
}
