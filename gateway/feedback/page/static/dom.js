// Elements are made, never parsed: whatever an event says stays text.
import { n } from "./text.js";
import { visible } from "./visible.js";

const SVG = "http://www.w3.org/2000/svg";
const SHOWN = new Set(["title", "aria-label"]);
const SVG_NAMES = new Set(["svg", "rect", "line", "path", "text", "pattern", "defs"]);

export function h(name, attributes = {}, ...children) {
  const element = SVG_NAMES.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : SHOWN.has(key) ? visible(value) : value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== "").map((child) => (child instanceof Node ? child : visible(child))));
  return element;
}

// A code, an id or a place. It breaks behind "_", "." and "/"; within a word only where a line is too short for one.
export const code = (text, kind) => h("span", { class: kind ? `code ${kind}` : "code" }, String(text).split(/(?<=[_./])(?=.)/).map((part, index) => [index ? h("wbr") : null, part]));

// What is drawn anew keeps the keyboard's place: the same link or button has the focus again.
const keyOf = (element) => element?.getAttribute("data-key") ?? element?.getAttribute("href");
export function show(place, ...children) {
  const held = place.contains(document.activeElement) ? keyOf(document.activeElement) : null;
  place.replaceChildren(...children.flat(9).filter(Boolean));
  if (held) [...place.querySelectorAll("[data-key], a[href]")].find((element) => keyOf(element) === held)?.focus({ preventScroll: true });
}

// What went wrong, in its words: an error of `ask`.
export const failure = (error) => h("p", { class: "empty error", role: "alert" }, error.message);

export const facts = (pairs) => h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));

// What is wider than the window is scrolled, by the keyboard too: then it can have the focus, and has a name.
const watched = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const isWider = target.scrollWidth > target.clientWidth;
    for (const [name, value] of [["tabindex", "0"], ["role", "region"], ["aria-label", target.dataset.name]]) {
      if (isWider) target.setAttribute(name, value);
      else target.removeAttribute(name);
    }
  }
});
export function scroller(name, ...children) {
  const place = h("div", { class: "scroll", "data-name": name, "data-key": `scroll ${name}` }, children);
  watched.observe(place);
  return place;
}

// `head` and `body` are rows made already, in the place of `heads` and `rows`.
export function table(caption, heads, rows, { cards = true, quiet = false, kind = cards ? "cards" : null, head = null, body = null } = {}) {
  const isNumber = (cell) => typeof cell === "number" || (cell instanceof Element && cell.classList.contains("number"));
  const drawn = rows.map((cells) => h("tr", { class: cells.fresh ? "fresh" : null }, cells.map((cell, index) => h("td", { "data-label": heads[index], class: isNumber(cell) ? "number" : null }, typeof cell === "number" ? n(cell) : cell))));
  return scroller(caption, h("table", { class: kind }, h("caption", { class: quiet ? "unseen" : null }, caption),
    h("thead", {}, head ?? h("tr", {}, heads.map((each, index) => h("th", { scope: "col", class: rows.some((cells) => isNumber(cells[index])) ? "number" : null }, each)))), h("tbody", {}, body ?? drawn)));
}
