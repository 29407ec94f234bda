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

/** A number with its unit in the language of the page. @param {number} n @param {string} unit @param {number} [digits] */
function measure(n, unit, digits = 0) {
  const parts = new Intl.NumberFormat(document.documentElement.lang, { style: 'unit', unit, unitDisplay: unit === 'minute' ? 'short' : 'narrow', maximumFractionDigits: digits, minimumFractionDigits: digits }).formatToParts(n);
  const written = (/** @type {boolean} */ isUnit) => parts.filter(({ type }) => type !== 'literal' && (type === 'unit') === isUnit).map(({ value }) => value).join('');
  return `${written(false)} ${written(true)}`;
}

/** @param {number|undefined} ms */
export function duration(ms) {
  if (ms === undefined || !Number.isFinite(ms)) return '';
  if (ms < 1000) return measure(Math.round(ms), 'millisecond');
  if (ms < 60_000) return measure(ms / 1000, 'second', ms < 10_000 ? 1 : 0);
  return `${measure(Math.floor(ms / 60_000), 'minute')} ${measure(Math.round((ms % 60_000) / 1000), 'second')}`;
}

/** @param {number|undefined} n */
export function bytes(n) {
  if (!n) return '';
  const step = Math.min(4, Math.floor(Math.log2(n) / 10));
  return measure(n / 1024 ** step, ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'][step], step > 1 && n / 1024 ** step < 10 ? 1 : 0);
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
