// The cases: filtered, searched, sorted and marked together, all by the server; the address says how.
import { address, href, replace } from "./address.js";
import { ask } from "./ask.js";
import { caseDialog, badges } from "./case.js";
import { trend } from "./charts.js";
import { fieldName, valueOf } from "./codes.js";
import { closeDialog } from "./dialog.js";
import { code, failure, h, show } from "./dom.js";
import { direction, rowCell } from "./explanation.js";
import { filters, offer } from "./filters.js";
import { atMostEvery, pause } from "./live.js";
import { bulkForm } from "./marking.js";
import { daysOf, inDays } from "./period.js";
import { reportLinks } from "./report.js";
import { liveTable } from "./rows.js";
import { at, inBrackets, n, said, t } from "./text.js";

const PAGE = 100;
const EVERY_MS = 3000;
const FILTERS = ["text", "period", "status", "own_matter", "reopened", "province", "code", "row", "certificate", "unit", "sort"]; // the last one on a phone, where no heads are
const FIRST = { events: "desc", last: "desc", first: "desc", reason: "asc" };

export function cases(place, state, query, open) {
  const report = reportLinks(), list = h("div"), table = liveTable(), more = h("p");
  const selected = new Map();
  let items = [], shown = PAGE, asked = 0, counted = "", readOnly = true;
  const again = () => { shown = PAGE; selected.clear(); load(); };
  const controls = filters(FILTERS, query, "cases", again);
  const live = pause(() => load());
  const bulk = bulkForm(selected, () => load(), () => drawSelection(), () => select(items.map((item) => item.id), true));
  show(place, h("section", { class: "card" }, h("h2", {}, t("cases")), controls, live.control, report.element, bulk.element, list));
  show(list, h("p", { class: "empty" }, t("loading")));

  const load = async () => {
    const mine = ++asked; // of two answers under way the later question's is drawn
    try {
      const answer = await ask("cases", { ...inDays(query), limit: shown });
      if (mine !== asked) return;
      offer(controls, { unit: answer.units, certificate: answer.certificates });
      report.draw(query, answer);
      readOnly = answer.read_only;
      draw(answer);
    } catch (error) {
      if (mine === asked) show(list, failure(error));
    }
  };
  const draw = (answer) => {
    ({ items } = answer);
    if (!items.length) return show(list, h("p", { class: "empty" }, none(answer)));
    const rest = items.length < answer.total;
    table.fill(`${t("cases")}${inBrackets(t("of").replace("{total}", n(answer.total)).replace("{shown}", n(items.length)))}`, heads(), items.map(rowOf));
    show(more, rest ? h("button", { type: "button", "data-key": "more", onclick: () => { shown += PAGE; load(); } }, t("moreCases")) : null);
    if (!table.element.isConnected) show(list, table.element, more);
    drawSelection();
  };
  const rowOf = (item) => ({ key: item.id, cells: [
    ...(readOnly ? [] : [h("input", { type: "checkbox", "data-key": `select-${item.id}`, "aria-label": nameOf(item), onchange: (event) => select([item.id], event.target.checked) })]),
    badges(item), h("span", {}, h("a", { class: "explain", "data-key": item.id, href: href("cases", query, item.id) }, said(item.message)), h("br"), code(item.code, "soft")),
    direction(item), rowCell(item, item.certificate), item.value ? valueOf(item.field, item.value) : fieldName(item.field),
    item.in_period ?? item.count, trend(item.days, t("trend")), time(item.first_seen), time(item.last_seen), item.responsible_units.join(t("listComma")),
  ] });
  const heads = () => [
    ...(readOnly ? [] : [{ label: t("select"), content: [h("span", { class: "unseen" }, t("select")), h("input", { type: "checkbox", "data-key": "select-all", "aria-label": t("selectAll"), onchange: (event) => select(items.map((item) => item.id), event.target.checked) })] }]),
    t("status"), sortHead("reason", "message"), t("direction"), t("row"), t("value"), sortHead("events", daysOf(query).until ? "countInPeriod" : "count"), t("trend"), sortHead("first", "first"), sortHead("last", "last"), t("unit"),
  ];
  const sortHead = (name, label) => {
    const [now, direction] = (query.sort ?? "last-desc").split("-");
    const next = now === name ? { asc: "desc", desc: "asc" }[direction] : FIRST[name];
    const sort = now === name ? { asc: "ascending", desc: "descending" }[direction] : "none";
    const mark = now === name ? { asc: "▲", desc: "▼" }[direction] : "↕";
    const onclick = () => { query.sort = `${name}-${next}`; controls.querySelector("[name=sort]").value = query.sort; replace("cases", query); load(); };
    return { label: t(label), sort, content: h("button", { type: "button", class: "sort", "data-key": `sort-${name}`, onclick }, t(label), h("span", { "aria-hidden": "true" }, ` ${mark}`)) };
  };
  const select = (ids, yes) => {
    for (const id of ids) {
      if (!yes) selected.delete(id);
      else selected.set(id, items.find((item) => item.id === id));
    }
    bulk.forget();
    drawSelection();
  };
  const drawSelection = () => {
    const boxes = [...table.element.querySelectorAll("tbody input[type=checkbox]")];
    for (const box of boxes) box.checked = selected.has(box.dataset.key.replace("select-", ""));
    const ticked = boxes.filter((box) => box.checked).length, all = table.element.querySelector("thead input");
    if (all) [all.checked, all.indeterminate] = [ticked > 0 && ticked === boxes.length, ticked > 0 && ticked < boxes.length];
    bulk.draw();
  };

  const explain = async (id) => {
    open = id;
    if (!id) return closeDialog();
    try {
      const answer = await ask("cases", { id });
      if (address().open !== id) return; // closed meanwhile
      const [found] = answer.items;
      if (found) open = null;
      caseDialog(found, answer.read_only, async () => { await load(); if (address().open === id) explain(id); });
    } catch (error) {
      if (address().open === id) caseDialog(null, true, null, error);
    }
  };
  load();
  if (open) explain(open);
  const refresh = atMostEvery(EVERY_MS, () => {
    if (live.isPaused() || !list.isConnected) return;
    load();
    if (open && address().open === open) explain(open); // not counted yet when it was asked for
  });
  return {
    open: explain,
    again: load,
    tick: () => {
      const now = JSON.stringify([state.overview?.cases, state.overview?.reasons]);
      if (now !== counted) refresh(); // the first time too: what came while the page was loading
      counted = now;
    },
  };
}

// Of a unit that nobody knows "no cases" would be taken for good news.
const none = (answer) => !answer.all ? t("noCasesAtAll") : answer.report.count ? t("noCases") : t("noSuchUnit");
const time = (text) => h("time", { class: "wraps", datetime: text }, at(text));
const nameOf = (item) => `${t("select")} ${said(item.message)} ${item.province ? t(`direction_${item.province}`) : ""} ${item.certificate ?? ""} ${item.value ?? item.field}`;
