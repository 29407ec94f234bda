/** Workflows on the server: saved whole, with the last five versions beside them, and the templates it ships. */

import { signal } from '../vendor/preact.js';
import { ApiError } from '../net/api.js';

export const FOLDER = 'workflows';
const VERSIONS = `${FOLDER}/.versions`;

/** @typedef {{pack: string, name: string, thumbnail: boolean}} Template pack '' = shipped */
/** @typedef {{path: string, name: string, modified: number, size: number}} Saved path without the folder */

export class Files {
  /** @param {import('../net/api.js').Api} api */
  constructor(api) {
    this.api = api;
    /** @type {import('../vendor/preact.js').Signal<Saved[]>} */ this.saved = signal([]);
    /** @type {import('../vendor/preact.js').Signal<Template[]>} */ this.templates = signal([]);
  }

  async refresh() {
    const files = await this.api.userFiles(FOLDER);
    this.saved.value = files
      .map((file) => (typeof file === 'string' ? { path: file, size: 0, modified: 0 } : file))
      .filter(({ path }) => path.endsWith('.json') && !path.startsWith('.'))
      .map(({ path, size, modified }) => ({ path, size, modified, name: nameOf(path) }))
      .sort((a, b) => b.modified - a.modified);
  }

  /** Those the program ships, then those of packs. */
  async refreshTemplates() {
    const [own, packs] = await Promise.all([this.api.json('/workflows').catch(() => null), this.api.json('/workflow_templates').catch(() => null)]);
    const shipped = (own?.workflows ?? []).filter((/** @type {any} */ one) => one.source === 'shipped').map((/** @type {any} */ { name, thumbnail }) => ({ pack: '', name, thumbnail: Boolean(thumbnail) }));
    const others = Object.entries(packs ?? {}).flatMap(([pack, names]) => /** @type {string[]} */ (names).map((name) => ({ pack, name, thumbnail: true })));
    this.templates.value = [...shipped, ...others];
  }

  /** The address of a template's picture. @param {Template} template */
  thumbnail({ pack, name }) {
    return pack ? `api/workflow_templates/${encodeURIComponent(pack)}/${encodeURIComponent(name)}.jpg` : `api/workflows/${encodeURIComponent(name)}/thumbnail`;
  }

  /** @param {Template} template @returns {Promise<any>} */
  async template({ pack, name }) {
    if (pack) return this.api.json(`/workflow_templates/${encodeURIComponent(pack)}/${encodeURIComponent(name)}.json`);
    const told = await this.api.json(`/workflows/${encodeURIComponent(name)}`);
    return told.workflow ?? told.prompt;
  }

  /** @param {string} path @returns {Promise<any>} */
  async read(path) {
    return JSON.parse(await this.api.readUserFile(`${FOLDER}/${path}`));
  }

  /** Writes a workflow; the server keeps what was there before as a version. @param {string} path @param {any} data */
  async write(path, data) {
    await this.api.writeUserFile(`${FOLDER}/${path}`, JSON.stringify(data));
    await this.refresh();
  }

  /** Names of the kept versions, newest first. @param {string} path @returns {Promise<string[]>} */
  async versions(path) {
    try {
      const files = await this.api.userFiles(`${VERSIONS}/${path}`);
      return files.map((file) => (typeof file === 'string' ? file : file.path)).sort().reverse();
    } catch (error) {
      if (error instanceof ApiError) return [];
      throw error;
    }
  }

  /** @param {string} path @param {string} version @returns {Promise<any>} */
  async readVersion(path, version) {
    return JSON.parse(await this.api.readUserFile(`${VERSIONS}/${path}/${version}`));
  }

  /** @param {string} path */
  async remove(path) {
    await this.api.deleteUserFile(`${FOLDER}/${path}`);
    await this.refresh();
  }

  /** @param {string} path @param {string} to */
  async move(path, to) {
    await this.api.moveUserFile(`${FOLDER}/${path}`, `${FOLDER}/${to}`);
    await this.refresh();
  }
}

/** @param {string} path */
export function nameOf(path) {
  return (path.split('/').pop() ?? path).replace(/\.json$/, '');
}
