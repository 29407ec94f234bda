/** The server's HTTP interface: ComfyUI's routes, and ours where the server has them. */

export class ApiError extends Error {
  /** @param {number} status @param {any} body */
  constructor(status, body) {
    super(messageOf(body) || `The server answered ${status}.`);
    this.status = status;
    this.body = body;
  }
}

/** @param {any} body @returns {string} */
function messageOf(body) {
  if (typeof body === 'string') return body.startsWith('<') ? '' : body.slice(0, 300);
  const error = body?.error;
  if (typeof error === 'string') return error;
  return [error?.message, error?.details].filter(Boolean).join(': ');
}

/** @typedef {{filename: string, subfolder?: string, type?: string}} FileRef */

export class Api {
  /** @param {string} [base] where the server is, without a slash at the end */
  constructor(base = '') {
    this.base = base;
    this.clientId = session('latent-loom.client');
  }

  /** @param {string} path @param {RequestInit} [options] @returns {Promise<Response>} */
  async fetch(path, options = {}) {
    const response = await fetch(`${this.base}/api${path}`, { credentials: 'same-origin', ...options });
    if (response.status === 401 && path !== '/login') dispatchEvent(new CustomEvent('latent-loom:login'));
    if (!response.ok) {
      const text = await response.text();
      let body;
      try {
        body = JSON.parse(text);
      } catch {
        body = text;
      }
      throw new ApiError(response.status, body);
    }
    return response;
  }

  /** @param {string} path @param {RequestInit} [options] @returns {Promise<any>} */
  async json(path, options) {
    const response = await this.fetch(path, options);
    const text = await response.text();
    return text ? JSON.parse(text) : null;
  }

  /** @param {string} path @param {any} body @param {string} [method] */
  send(path, body, method = 'POST') {
    return this.json(path, { method, body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } });
  }

  objectInfo() {
    return this.json('/object_info');
  }

  /** @param {Record<string, any>} body */
  prompt(body) {
    return this.send('/prompt', { client_id: this.clientId, ...body });
  }

  queue() {
    return this.json('/queue');
  }

  /** @param {{max?: number, offset?: number}} [page] */
  history({ max = 64, offset } = {}) {
    return this.json(`/history?max_items=${max}${offset === undefined ? '' : `&offset=${offset}`}`);
  }

  /** @param {string} id */
  historyOf(id) {
    return this.json(`/history/${encodeURIComponent(id)}`);
  }

  /** @param {string} [id] only if this prompt is the one running */
  interrupt(id) {
    return this.send('/interrupt', id ? { prompt_id: id } : {});
  }

  /** A file's address. @param {FileRef} file @param {{preview?: string, channel?: string}} [options] */
  viewUrl({ filename, subfolder = '', type = 'output' }, options = {}) {
    return `${this.base}/api/view?${new URLSearchParams({ filename, subfolder, type, ...options })}`;
  }

  /** @param {Blob} file @param {{type?: string, subfolder?: string, name?: string, overwrite?: boolean}} [where] @returns {Promise<{name: string, subfolder: string, type: string}>} */
  upload(file, { type = 'input', subfolder = '', name, overwrite = false } = {}) {
    const form = new FormData();
    form.append('image', file, name ?? (file instanceof File ? file.name : 'upload.png'));
    form.append('type', type);
    form.append('subfolder', subfolder);
    if (overwrite) form.append('overwrite', 'true');
    return this.json('/upload/image', { method: 'POST', body: form });
  }

  /** @param {string} dir @returns {Promise<{path: string, size: number, modified: number}[]>} */
  async userFiles(dir) {
    try {
      const top = await this.json('/v2/userdata?path=');
      const [first] = dir.split('/');
      if (Array.isArray(top) && !top.some((entry) => entry.name === first)) return [];
      return (await this.json(`/userdata?dir=${encodeURIComponent(dir)}&recurse=true&split=false&full_info=true`)) ?? [];
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return [];
      throw error;
    }
  }

  /** @param {string} path @returns {Promise<string>} */
  async readUserFile(path) {
    return (await this.fetch(`/userdata/${encodeURIComponent(path)}`)).text();
  }

  /** @param {string} path @param {string} text @param {boolean} [overwrite] */
  writeUserFile(path, text, overwrite = true) {
    return this.json(`/userdata/${encodeURIComponent(path)}?overwrite=${overwrite}&full_info=true`, { method: 'POST', body: text });
  }

  /** @param {string} path */
  deleteUserFile(path) {
    return this.fetch(`/userdata/${encodeURIComponent(path)}`, { method: 'DELETE' });
  }

  /** @param {string} from @param {string} to */
  moveUserFile(from, to) {
    return this.json(`/userdata/${encodeURIComponent(from)}/move/${encodeURIComponent(to)}?overwrite=false`, { method: 'POST' });
  }
}

/** An id that lasts as long as the browser tab. @param {string} key */
function session(key) {
  try {
    const old = sessionStorage.getItem(key);
    if (old) return old;
    const id = crypto.randomUUID().replaceAll('-', '');
    sessionStorage.setItem(key, id);
    return id;
  } catch {
    return crypto.randomUUID().replaceAll('-', '');
  }
}
