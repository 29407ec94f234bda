/** The words in Russian. */

/** @type {Record<string, string>} */
export const RU = {};
