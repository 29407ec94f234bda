/** The app object: what every part of the editor is given. */

import { computed, effect, signal } from '../vendor/preact.js';
import { Api } from '../net/api.js';
import { Socket } from '../net/socket.js';
import { Emitter } from '../store/events.js';
import { Prefs } from '../store/prefs.js';
import { Doc } from '../store/doc.js';
import { Drafts } from '../store/draft.js';
import { Files, nameOf } from '../store/files.js';
import { Jobs } from '../store/jobs.js';
import { Parts } from '../store/parts.js';
import { Words } from '../store/words.js';
import { Defs, EDITOR_DEFS } from '../graph/defs.js';
import { Layers } from './layers.js';
import { Commands } from './keys.js';
import { addCommands } from './commands.js';
import { mountShell } from './app.js';
import { applyTheme } from './theme.js';
import { openSaved } from './files.js';

export class App extends Emitter {
  constructor() {
    super();
    const query = new URLSearchParams(location.search);
    this.test = query.get('test') === '1';
    /** @type {string|null} an app to show instead of the graph */ this.form = query.get('app');
    this.api = new Api();
    this.prefs = new Prefs({ post: (id, value) => this.api.send(`/settings/${encodeURIComponent(id)}`, value) });
    this.words = new Words(this.prefs);
    this.socket = new Socket(this.api);
    this.defs = new Defs();
    /** @type {import('../vendor/preact.js').Signal<Doc[]>} */ this.docs = signal([]);
    /** @type {import('../vendor/preact.js').Signal<Doc>} */ this.active = signal(Doc.blank(this.defs, ''));
    this.ready = signal(false);
    this.formOpen = signal(Boolean(this.form));
    this.revision = computed(() => this.active.value.rev.value);
    this.defsRevision = signal(0);
    /** @type {import('../graph/kin.js').Lineages} whose the model files are, by folder and name */ this.lineages = {};
    /** @type {{id: string, name: string}|null} who signed in; null where nobody needs to */ this.user = null;
    /** @type {any} */ this.clip = null;
    /** @type {any} what mountCanvas returned */ this.canvas = null;
    this.files = new Files(this.api);
    this.parts = new Parts(this.api);
    this.jobs = new Jobs(this);
    this.ui = new Layers(this);
    this.commands = new Commands(this);
    this.drafts = new Drafts(() => ({ docs: this.docs.peek(), active: this.active.peek() }));
  }

  /** @param {string} key @param {Record<string, any>} [vars] */
  t = (key, vars) => this.words.t(key, vars);

  async start() {
    addCommands(this);
    addEventListener('latent-loom:login', () => this.askLogin());
    applyTheme(this);
    const [info, stored, opened] = await Promise.all([this.api.objectInfo().catch(() => ({})), this.api.json('/settings').catch(() => ({})), this.drafts.read(this.api.clientId)]);
    this.defs.load(info);
    this.prefs.merge(stored ?? {});
    await this.reopen(opened);
    this.ready.value = true;
    await mountShell(this);
    effect(() => {
      const { run, dirty, name, file } = this.active.value;
      const { done, total, value, max } = run.progress.value;
      const part = run.prompt.value && total ? `${Math.round(((done + (max ? value / max : 0)) / total) * 100)} % ` : '';
      document.title = `${part}${dirty.value && file.value ? '• ' : ''}${name.value} — Latent Loom`;
    });
    // A server that was away, or has been started anew, may know other nodes now.
    this.socket.on('open', ({ again }) => (again || this.defs.types.size <= EDITOR_DEFS.length) && this.reloadDefs().catch(() => {}));
    this.socket.connect();
    void this.files.refresh().catch(() => {});
    void this.files.refreshTemplates();
    void this.parts.refresh();
    this.api.json('/me').then((/** @type {{id: string, name: string}} */ me) => (this.user = me.id === 'default' ? null : me), () => {});
    void this.readLineages();
  }

  /** Asks the server whose its model files are. */
  async readLineages() {
    this.lineages = (await this.api.json('/lineage').catch(() => null)) ?? {};
    this.emit('lineages');
  }

  /** Ends the session; what is open stays in this browser. */
  async signOut() {
    this.drafts.flush();
    await this.api.fetch('/logout', { method: 'POST' });
    location.assign('login');
  }

  /** The server wants to know who one is. */
  askLogin() {
    if (!this.ui.dialogs.peek().some((dialog) => dialog.name === 'login')) void this.ui.dialog('login');
  }

  /** @param {{drafts: import('../store/draft.js').Draft[], active: string|null}} opened */
  async reopen({ drafts, active }) {
    for (const draft of drafts) {
      try {
        const doc = Doc.read(draft.data, this.defs, { name: draft.name, file: draft.file });
        doc.dirty.value = draft.dirty;
        for (const [path, output] of draft.outputs ?? []) doc.run.outputs.set(path, output);
        this.add(doc, doc.id === active);
        if (draft.trail?.length) doc.show(draft.trail);
      } catch (error) {
        console.error('A draft could not be opened.', error);
      }
    }
    if (this.form) await openSaved(this, this.form, nameOf(this.form)).catch(() => this.ui.toast(this.t('open.failed', { name: this.form, why: '404' }), { kind: 'error' }));
    if (!this.docs.peek().length) await this.hello();
    if (!this.docs.peek().includes(this.active.peek())) this.active.value = this.docs.peek()[0];
  }

  /** What a first visitor sees. */
  async hello() {
    const data = await this.files.template({ pack: '', name: 'hello', thumbnail: false }).catch(() => null);
    if (data?.nodes && this.defs.types.size > EDITOR_DEFS.length) this.jobs.showLast(this.open({ ...data, id: crypto.randomUUID() }, { name: this.t('doc.hello') }));
    else this.blank();
  }

  /** @param {Doc} doc @param {boolean} [activate] */
  add(doc, activate = true) {
    const twin = this.docs.peek().find((other) => other.id === doc.id);
    if (twin) doc.id = doc.flow.rest.id = crypto.randomUUID();
    this.docs.value = [...this.docs.peek(), doc];
    this.drafts.watch(doc);
    if (activate) this.activate(doc);
    else void this.drafts.save(doc);
    return doc;
  }

  /** @param {Doc} doc */
  activate(doc) {
    this.active.value = doc;
    this.canvas?.setDoc(doc);
    this.emit('active', doc);
    this.drafts.later(doc);
    void this.drafts.session();
    if (this.ready.peek()) this.jobs.adopt();
  }

  /** Opens a parsed workflow, or a prompt of the API form, in a new tab. @param {any} data @param {{name?: string, file?: string|null}} [more] @returns {any} the document, or a promise of it */
  open(data, { name, file = null } = {}) {
    const title = name ?? this.freeName();
    if (Array.isArray(data?.nodes)) {
      const doc = Doc.read(data, this.defs, { name: title, file });
      if (Object.keys(doc.flow.root.extra.groupNodes ?? {}).length) void this.ungroupNodes(doc).then(() => this.tellMissing(doc));
      else this.tellMissing(doc);
      return this.add(doc);
    }
    return this.openPrompt(data, title);
  }

  /** Says which node types nobody defines here. @param {Doc} doc */
  tellMissing(doc) {
    const missing = [...new Set(doc.flow.graphs().flatMap((graph) => [...graph.nodes.values()].filter((node) => !node.def).map((node) => node.type)))];
    if (missing.length) this.ui.toast(this.t('open.unknown', { types: missing.slice(0, 4).join(', ') }), { kind: 'error', action: { label: this.t('errors.show'), run: () => this.prefs.set('panel.open', 'errors') } });
  }

  /** Group nodes, an older kind of subgraphs, become subgraphs. @param {Doc} doc */
  async ungroupNodes(doc) {
    const { groupNodesToSubgraphs } = await import('../graph/groupnode.js');
    const n = doc.edit(this.t('open.groups'), groupNodesToSubgraphs);
    if (n) this.ui.toast(this.t('open.grouped', { n }));
  }

  /** @param {Record<string, any>} prompt @param {string} name */
  async openPrompt(prompt, name) {
    const { workflowFromPrompt } = await import('../file/prompt.js');
    const { flow, missing } = await workflowFromPrompt(prompt, this.defs);
    if (missing.length) this.ui.toast(this.t('open.missing', { types: missing.join(', ') }), { kind: 'error' });
    return this.add(new Doc(flow, { name }));
  }

  blank() {
    return this.add(Doc.blank(this.defs, this.freeName()));
  }

  freeName() {
    const taken = new Set(this.docs.peek().map((doc) => doc.name.peek()));
    const base = this.t('doc.untitled');
    for (let n = 1; ; n++) {
      const name = n === 1 ? base : `${base} ${n}`;
      if (!taken.has(name)) return name;
    }
  }

  /** @param {Doc} doc */
  async close(doc) {
    if (doc.dirty.peek() && doc.flow.root.nodes.size && doc.file.peek() && !(await this.ui.confirm(this.t('close.ask', { name: doc.name.peek() }), this.t('close.yes')))) return;
    const at = this.docs.peek().indexOf(doc);
    this.docs.value = this.docs.peek().filter((other) => other !== doc);
    this.closed = { data: doc.toJson(), name: doc.name.peek(), file: doc.file.peek() };
    if (!this.docs.peek().length) this.blank();
    else if (this.active.peek() === doc) this.activate(this.docs.peek()[Math.max(0, at - 1)]);
    doc.dispose();
    await this.drafts.forget(doc.id);
    await this.drafts.session();
  }

  /** Asks the server for node definitions again: combos change when files do. */
  async reloadDefs() {
    this.defs.load(await this.api.objectInfo());
    for (const doc of this.docs.peek()) {
      doc.flow.rebind();
      doc.emit('run', { ids: null });
    }
    this.defsRevision.value += 1;
    this.emit('defs');
    void this.readLineages();
  }
}
