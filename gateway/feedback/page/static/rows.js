// A table whose rows change while one reads: only what differs is drawn again, so that a selection of text, the focus and what is
// ticked stay.
import { h, scroller, show } from "./dom.js";

// A head is a text, or { label, content, sort }: the cells' label on a phone, what the head holds, and aria-sort.
export function liveTable(quiet = false) {
  const caption = h("caption", { class: quiet ? "unseen" : null }), head = h("tr"), body = h("tbody");
  const element = scroller(null, h("table", { class: "cards" }, caption, h("thead", {}, head), body));
  const fill = (title, heads, rows) => {
    caption.textContent = title;
    element.dataset.name = title;
    if (element.hasAttribute("aria-label")) element.setAttribute("aria-label", title);
    const labels = heads.map((each) => each.label ?? each);
    const made = heads.map((each) => h("th", { scope: "col", "aria-sort": each.sort ?? null }, each.content ?? each));
    if (!isSame(head, made)) show(head, made);
    patch(body, rows.map(({ key, fresh, cells }) => h("tr", { "data-row": key, class: fresh ? "fresh" : null }, cells.map((cell, index) => h("td", { "data-label": labels[index], class: typeof cell === "number" ? "number" : null }, typeof cell === "number" ? cell.toLocaleString("en-US") : cell)))));
  };
  return { element, fill };
}

const isSame = (row, cells) => row.children.length === cells.length && cells.every((cell, index) => cell.isEqualNode(row.children[index]));

function patch(body, rows) {
  const known = new Map([...body.rows].map((row) => [row.dataset.row, row]));
  const wanted = new Set(rows.map((row) => row.dataset.row));
  for (const [key, row] of known) if (!wanted.has(key)) row.remove();
  rows.forEach((row, index) => {
    const held = known.get(row.dataset.row);
    if (held) update(held, row);
    const next = body.children[index] ?? null;
    if (next !== (held ?? row)) body.insertBefore(held ?? row, next);
  });
}

function update(held, row) {
  const cells = [...row.children];
  held.className = row.className;
  cells.forEach((cell, index) => {
    const old = held.children[index];
    if (!old) held.append(cell);
    else if (!cell.isEqualNode(old)) replaceCell(old, cell);
  });
  while (held.children.length > cells.length) held.lastElementChild.remove();
}

function replaceCell(old, cell) {
  const key = old.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  old.replaceWith(cell);
  if (key) [...cell.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key)?.focus({ preventScroll: true });
}
