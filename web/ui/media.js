/** Pictures, films and sounds among the outputs of a run. */

const KINDS = ['images', 'gifs', 'video', 'videos', 'animated', 'audio'];
const FILM = /\.(mp4|webm|mov|mkv)$/i;
const SOUND = /\.(flac|mp3|opus|ogg|wav)$/i;

/** @typedef {{filename: string, subfolder?: string, type?: string}} FileRef */
/** @typedef {{file: FileRef, path: string, kind: 'image'|'video'|'audio'}} Medium */

/** Every file a job made, saved ones before temporary ones. @param {Record<string, any>} outputs @returns {Medium[]} */
export function mediaOf(outputs) {
  /** @type {Medium[]} */ const media = [];
  for (const [path, output] of Object.entries(outputs ?? {})) {
    for (const kind of KINDS) {
      if (!Array.isArray(output?.[kind])) continue;
      for (const file of output[kind]) if (file?.filename) media.push({ file, path, kind: kindOf(file.filename) });
    }
  }
  return media.sort((a, b) => Number(a.file.type === 'temp') - Number(b.file.type === 'temp'));
}

/** @param {string} name @returns {Medium['kind']} */
export function kindOf(name) {
  return FILM.test(name) ? 'video' : SOUND.test(name) ? 'audio' : 'image';
}

/** The address of a small picture of a file. @param {any} app @param {FileRef} file */
export function thumbUrl(app, file) {
  return kindOf(file.filename) === 'image' ? app.api.viewUrl(file, { preview: 'webp;75' }) : app.api.viewUrl(file);
}

/** @param {number|undefined} ms */
export function duration(ms) {
  if (ms === undefined || !Number.isFinite(ms)) return '';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

/** @param {number|undefined} n */
export function bytes(n) {
  if (!n) return '';
  const step = Math.min(4, Math.floor(Math.log2(n) / 10));
  return `${(n / 1024 ** step).toFixed(step > 1 && n / 1024 ** step < 10 ? 1 : 0)} ${['B', 'KB', 'MB', 'GB', 'TB'][step]}`;
}

/** How long ago, in words. @param {any} app @param {number|undefined} time ms */
export function ago(app, time) {
  if (!time) return '';
  const minutes = Math.round((Date.now() - time) / 60_000);
  if (minutes < 1) return app.t('time.now');
  if (minutes < 60) return app.t('time.minutes', { n: minutes });
  if (minutes < 24 * 60) return app.t('time.hours', { n: Math.round(minutes / 60) });
  return new Date(time).toLocaleDateString(app.words.language, { day: 'numeric', month: 'short' });
}
