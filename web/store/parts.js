/** Subgraphs kept for use in any workflow: those the user published, and those of packs. Each is a small workflow file. */

import { signal } from '../vendor/preact.js';

export const FOLDER = 'subgraphs';
/** What the type of such a thing begins with, where node types are listed. */
export const PREFIX = 'part:';

/** @typedef {{id: string, name: string, pack?: string}} Part */

export class Parts {
  /** @param {import('../net/api.js').Api} api */
  constructor(api) {
    this.api = api;
    /** @type {import('../vendor/preact.js').Signal<Part[]>} */ this.list = signal([]);
  }

  async refresh() {
    const [own, packs] = await Promise.all([this.api.userFiles(FOLDER).catch(() => []), this.api.json('/global_subgraphs').catch(() => null)]);
    const mine = own.map((file) => (typeof file === 'string' ? file : file.path)).filter((path) => path.endsWith('.json')).map((path) => ({ id: `own/${path}`, name: path.replace(/\.json$/, '') }));
    const others = Object.entries(packs ?? {}).map(([id, one]) => ({ id: `pack/${id}`, name: /** @type {any} */ (one).name ?? id, pack: /** @type {any} */ (one).info?.node_pack ?? /** @type {any} */ (one).source ?? 'pack' }));
    this.list.value = [...mine, ...others];
  }

  /** @param {string} id @returns {Promise<any>} a workflow file */
  async read(id) {
    const [kind, ...path] = id.split('/');
    if (kind === 'own') return JSON.parse(await this.api.readUserFile(`${FOLDER}/${path.join('/')}`));
    const { data } = await this.api.json(`/global_subgraphs/${encodeURIComponent(path.join('/'))}`);
    return typeof data === 'string' ? JSON.parse(data) : data;
  }

  /** @param {string} name @param {any} fragment */
  async publish(name, fragment) {
    await this.api.writeUserFile(`${FOLDER}/${name}.json`, JSON.stringify(fragment));
    await this.refresh();
  }

  /** As node types, to be listed among the others. @returns {import('../graph/defs.js').NodeDef[]} */
  defs() {
    return this.list.value.map(({ id, name, pack }) => ({ type: PREFIX + id, title: name, category: pack ? `subgraphs/${pack}` : 'subgraphs', description: '', inputs: [], outputs: [], widgets: [], isOutput: false, deprecated: false, experimental: false, virtual: false, dynamic: false, aliases: [], module: 'subgraph' }));
  }
}
