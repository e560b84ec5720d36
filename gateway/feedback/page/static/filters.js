// Filters stand in the address, so that a view can be linked to.
import { ask, h } from "./dom.js";
import { said, t } from "./text.js";

const CHOICES = {
  province: [["sichuan", "direction_sichuan"], ["chongqing", "direction_chongqing"]],
  status: [["pending", "pending"], ["fed_back", "fed_back"], ["verified", "verified"]],
};
const LABELS = { province: "direction", status: "status", code: "reason", row: "row", unit: "unit" };

let codes = null; // asked for once; again where that failed
function fill(select, chosen) {
  codes ??= ask("codes").then(({ items }) => items, () => (codes = null, []));
  const option = (each) => h("option", { value: each.code, selected: each.code === chosen }, `${each.code} ${said(each)}`);
  codes.then((items) => { if (items.length) select.replaceChildren(select.options[0], ...items.map(option)); });
  return select;
}

export function filters(names, query, view) {
  const go = (name, value) => {
    const wanted = new URLSearchParams({ ...query, [name]: value });
    for (const [key, text] of [...wanted]) if (!text) wanted.delete(key);
    location.hash = `#/${view}?${wanted}`;
  };
  return h("form", { class: "filters", onsubmit: (event) => event.preventDefault() }, names.map((name) => {
    const change = (event) => go(name, event.target.value.trim());
    const select = (choices) => h("select", { name, onchange: change }, h("option", { value: "" }, t("all")), choices.map(([value, label]) => h("option", { value, selected: query[name] === value }, t(label))));
    const input = name === "code"
      ? fill(select(query.code ? [[query.code, query.code]] : []), query.code)
      : CHOICES[name] ? select(CHOICES[name]) : h("input", { name, value: query[name] ?? "", placeholder: name === "row" ? t("rowHint") : null, onchange: change });
    return h("label", {}, t(LABELS[name]), input);
  }));
}
