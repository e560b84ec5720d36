// Filters stand in the address, so that a view can be linked to; a change asks again and leaves the controls, and the focus, alone.
import { replace } from "./address.js";
import { codes, meaning } from "./codes.js";
import { h } from "./dom.js";
import { periodControls } from "./period.js";
import { inBrackets, t } from "./text.js";

const CHOICES = {
  province: () => [["sichuan", t("direction_sichuan")], ["chongqing", t("direction_chongqing")]],
  status: () => ["open", "pending", "fed_back", "verified"].map((each) => [each, t(each)]),
  reopened: () => [["1", t("onlyReopened")]],
  own_matter: () => [["1", t("onlyOwnMatter")]],
  sort: () => [["events-desc", t("mostEvents")], ["first-desc", t("newestCases")], ["reason-asc", t("byReason")]],
  code: () => codes().map((each) => [each.code, `${meaning(each.code)}${inBrackets(each.code)}`]),
};
const LABELS = { province: "direction", status: "status", reopened: "backAgain", own_matter: "ownMatter", code: "reason", row: "row", certificate: "certificate", unit: "unit", text: "searchCases", sort: "sortBy", since: "from", until: "until", date: "asOf" };
const HINTS = { row: "rowHint", text: "searchHint" };
const DATES = new Set(["since", "until", "date"]);
const OFFERED = new Set(["unit", "certificate"]);
const TYPED_MS = 400;

// `query` is changed in place; `changed` is called once the address says so.
export function filters(names, query, view, changed, { all = true, usualDays = 30 } = {}) {
  const set = (name, value) => {
    if ((query[name] ?? "") === value) return;
    if (value) query[name] = value;
    else delete query[name];
    replace(view, query);
    changed();
  };
  const control = (name) => {
    const change = (event) => { if (event.target.checkValidity()) set(name, event.target.value.trim()); };
    if (name in CHOICES) {
      const option = ([value, label]) => h("option", { value, selected: query[name] === value }, label);
      return h("select", { name, onchange: change }, all ? h("option", { value: "" }, t(name === "sort" ? "newestEvents" : "all")) : null, CHOICES[name]().map(option));
    }
    if (DATES.has(name)) return h("input", { type: "date", name, value: query[name] ?? "", min: "2000-01-01", required: true, onchange: change });
    const list = OFFERED.has(name) ? `known-${name}` : null, isSearch = name === "text";
    return [h("input", { type: isSearch ? "search" : "text", name, value: query[name] ?? "", list, maxlength: 500, placeholder: HINTS[name] ? t(HINTS[name]) : null, onchange: change, oninput: isSearch ? afterTyping(change) : null }), list ? h("datalist", { id: list }) : null];
  };
  const controls = h("div", { class: "filters", role: "group", "aria-label": t("filters") }, names.map((name) => name === "period" ? periodControls(query, () => { replace(view, query); changed(); }, usualDays) : h("label", { class: name === "sort" ? "narrow" : null }, t(LABELS[name]), control(name))),
    all && names.length > 1 ? h("button", { type: "button", onclick: () => { location.hash = `#/${view}`; } }, t("clearFilters")) : null);
  if (names.length < 3) return controls;
  // On a phone they would fill the first screen: they wait there behind their name.
  return h("details", { class: "folded", open: !matchMedia("(max-width: 40rem)").matches }, h("summary", {}, t("filters")), controls);
}

function afterTyping(change) {
  let waiting = null;
  return (event) => { clearTimeout(waiting); waiting = setTimeout(() => change(event), TYPED_MS); };
}

// What can be chosen: what cases have been found for.
export function offer(form, known) {
  for (const [name, values] of Object.entries(known)) {
    const list = form.querySelector(`#known-${name}`);
    if (list && list.children.length !== values.length) list.replaceChildren(...values.map((value) => h("option", { value })));
  }
}
