/** A number field takes sums: `512*2`, `(3+1)/2`, `2^10`, `15%4`. A recursive reader, so nothing is evaluated as code. */

/** The value of `text`, or null when it is not a sum. @param {string} text @returns {number | null} */
export function evaluate(text) {
  const source = text.replace(/\s+/g, '').replace(/,/g, '.').replace(/\*\*/g, '^');
  let at = 0;

  /** @returns {number} */
  function sum() {
    let value = product();
    while (source[at] === '+' || source[at] === '-') {
      const minus = source[at++] === '-';
      const right = product();
      value = minus ? value - right : value + right;
    }
    return value;
  }

  /** @returns {number} */
  function product() {
    let value = sign();
    while (source[at] === '*' || source[at] === '/' || source[at] === '%') {
      const how = source[at++];
      const right = sign();
      value = how === '*' ? value * right : how === '/' ? value / right : value % right;
    }
    return value;
  }

  /** @returns {number} */
  function sign() {
    if (source[at] === '-') return at++, -sign();
    if (source[at] === '+') return at++, sign();
    return power();
  }

  /** @returns {number} */
  function power() {
    const base = atom();
    return source[at] === '^' ? (at++, base ** sign()) : base;
  }

  /** @returns {number} */
  function atom() {
    if (source[at] === '(') {
      at++;
      const value = sum();
      return source[at] === ')' ? (at++, value) : NaN;
    }
    const digits = /^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?/i.exec(source.slice(at));
    if (!digits) return NaN;
    at += digits[0].length;
    return Number(digits[0]);
  }

  const value = source ? sum() : NaN;
  return at === source.length && Number.isFinite(value) ? value : null;
}

/** `value` held to the limits and step of a number input. @param {number} value @param {{min?: number, max?: number, step?: number, round?: number | false, integer: boolean}} rule */
export function settle(value, rule) {
  let v = value;
  if (rule.integer) v = Math.round(v);
  else if (rule.round) v = Math.round(v / rule.round) * rule.round;
  if (rule.min !== undefined && v < rule.min) v = rule.min;
  if (rule.max !== undefined && v > rule.max) v = rule.max;
  return rule.integer ? v : Number(v.toPrecision(12));
}
