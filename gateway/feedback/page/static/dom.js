// Elements are made, never parsed: whatever an event says stays text.
const SVG = "http://www.w3.org/2000/svg";
const SVG_NAMES = new Set(["svg", "rect", "title"]);

export function h(name, attributes = {}, ...children) {
  const element = SVG_NAMES.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== "").map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

// What is drawn anew keeps the keyboard's place: the same link or button has the focus again.
const keyOf = (element) => element?.getAttribute("data-key") ?? element?.getAttribute("href");
export function show(place, ...children) {
  const held = place.contains(document.activeElement) ? keyOf(document.activeElement) : null;
  place.replaceChildren(...children.flat(9).filter(Boolean));
  if (held) [...place.querySelectorAll("[data-key], a[href]")].find((element) => keyOf(element) === held)?.focus({ preventScroll: true });
}

export async function ask(path, query = {}) {
  const wanted = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  const response = await fetch(`/api/${path}?${wanted}`);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? response.statusText);
  return answer;
}

export const facts = (pairs) => h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));

export function table(caption, heads, rows, { cards = true, quiet = false } = {}) {
  const body = rows.map((cells) => h("tr", { class: cells.fresh ? "fresh" : null }, cells.map((cell, index) => h("td", { "data-label": heads[index], class: typeof cell === "number" ? "number" : null }, typeof cell === "number" ? cell.toLocaleString("en-US") : cell))));
  return h("div", { class: "scroll" }, h("table", { class: cards ? "cards" : null }, h("caption", { class: quiet ? "unseen" : null }, caption), h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, body)));
}

const dialog = document.getElementById("dialog");
export function openDialog(title, close, ...children) {
  show(dialog, h("div", { class: "row" }, h("h2", { id: "dialog-title" }, title), h("button", { type: "button", id: "close", onclick: () => dialog.close() }, close)), ...children);
  if (!dialog.open) dialog.showModal();
}
export const closeDialog = () => dialog.close();
