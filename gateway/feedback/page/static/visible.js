// Characters that cannot be seen, or that turn the text round them, as escapes: names that look alike can then be told apart.
// The same characters as gateway/core/visible.py.
const HIDDEN = /[\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3164\ud800-\udfff\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;
const SHORT = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
const hex = (code, digits) => code.toString(16).padStart(digits, "0");

export const visible = (text) => String(text).replace(HIDDEN, (character) => {
  const code = character.codePointAt(0);
  if (code <= 0xff) return SHORT[character] ?? `\\x${hex(code, 2)}`;
  return code <= 0xffff ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`;
});
