import { ask, facts, h, openDialog, show, table } from "./dom.js";
import { trend } from "./charts.js";
import { at, n, ref, rowName, said, t } from "./text.js";
import { filters } from "./filters.js";

const NEXT = { pending: "fed_back", fed_back: "verified" };

export function cases(place, state, query) {
  const list = h("div");
  const { id, ...wanted } = query;
  show(place, h("section", { class: "card" }, h("h2", {}, t("cases")), filters(["status", "province", "code", "row", "unit"], wanted, "cases"), report(wanted), list));
  let counted = "", open = id;
  const load = async () => {
    try {
      const answer = await ask("cases", wanted);
      draw(answer);
      if (!open) return;
      const [found] = (await ask("cases", { id: open })).items;  // not counted yet: the next time
      if (found && open) explain(found, state, load);
      if (found) open = null;
    } catch (error) {
      show(list, h("p", { class: "empty error" }, `${t("error")}: ${error.message}`));
    }
  };
  const draw = ({ items, total }) => {
    if (!items.length) return show(list, h("p", { class: "empty" }, t("noCases")));
    const rows = items.map((item) => [
      badge(item.status.code), h("span", {}, h("span", { class: "code" }, item.code), h("br"), said(item.message)), ref(item) ?? "—", item.value ?? h("span", { class: "code" }, item.field),
      item.count, trend(item.days, t("trend")), h("time", { datetime: item.last_seen }, at(item.last_seen)), item.responsible_units.join("、"),
      h("button", { type: "button", class: "explain", "data-key": item.id, onclick: () => explain(item, state, load) }, t("explain")),
    ]);
    const heads = [t("status"), t("message"), t("row"), t("value"), t("count"), t("trend"), t("last"), t("unit"), t("explain")];
    show(list, table(`${t("cases")}（${n(total)}）`, heads, rows));
  };
  show(list, h("p", { class: "empty" }, t("loading")));
  load();
  return {
    again: load,
    tick: () => {
      const now = JSON.stringify([state.overview?.cases, state.overview?.reasons]);
      if (now !== counted) load(); // the first time too: what came while the page was loading
      counted = now;
    },
  };
}

const badge = (status) => h("span", { class: `badge ${{ pending: "warn", verified: "good" }[status] ?? ""}` }, t(status));

function report(query) {
  const link = (format) => h("a", { href: `/api/report?${new URLSearchParams({ ...(query.unit ? { unit: query.unit } : {}), format })}`, download: true, "data-format": format }, format.toUpperCase());
  return h("p", { class: "report" }, `${t("report")}（${query.unit || t("reportBoth")}）：`, link("html"), " · ", link("xlsx"), " · ", link("md"));
}

function explain(item, state, reload) {
  const place = item.value ? [[t("value"), item.value]] : [];
  openDialog(said(item.message), t("close"),
    facts([[t("status"), badge(item.status.code)], [t("reason"), h("span", { class: "code" }, item.code)], [t("direction"), item.province ? t(`direction_${item.province}`) : null], [t("row"), item.row ? `${rowName(item)} ${item.certificate ?? ""}` : null],
      [t("field"), item.field], ...place, [t("accepted"), item.accepted.join("；")], [t("units"), item.responsible_units.join("、")], [t("count"), n(item.count)], [t("first"), at(item.first_seen)], [t("last"), at(item.last_seen)]]),
    h("h3", {}, t("examples")), h("ul", { class: "plain" }, item.examples.map((each) => h("li", {}, each.id ? h("a", { href: `#/trace?id=${encodeURIComponent(each.id)}` }, each.id) : each.origin, ` · ${at(each.received)}`))),
    h("h3", {}, t("history")), h("ul", { class: "plain" }, item.history.map((step) => h("li", {}, `${at(step.at)} ${t(step.change)} → ${t(step.status.code)}${step.by ? ` · ${step.by}` : ""}${step.note ? `：${step.note}` : ""}`))),
    markForm(item, state, reload));
}

function markForm(item, state, reload) {
  const next = NEXT[item.status.code];
  if (!next) return null;
  if (state.overview?.read_only) return h("p", { class: "soft" }, t("readOnly"));
  const answer = h("p", { role: "status" });
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    try {
      const response = await fetch(`/api/cases/${item.id}/mark`, {
        method: "POST", headers: { "Content-Type": "application/json", Authorization: `Bearer ${form.get("token")}` },
        body: JSON.stringify({ status: next, by: form.get("by"), note: form.get("note") || null }),
      });
      const told = await response.json();
      if (!response.ok) throw new Error(told.error);
      show(answer, h("span", { class: "good" }, t("done")));
      setTimeout(reload, 700);
    } catch (error) {
      show(answer, h("span", { class: "bad" }, `${t("error")}: ${error.message}`));
    }
  };
  return [h("h3", {}, `${t("mark")} ${t(next)}`), h("form", { id: "mark", onsubmit: submit },
    h("label", {}, t("by"), h("input", { name: "by", required: true, maxlength: 100, autocomplete: "off" })),
    h("label", {}, t("note"), h("input", { name: "note", maxlength: 500, autocomplete: "off" })),
    h("label", {}, t("token"), h("input", { name: "token", type: "password", required: true, autocomplete: "off" })),
    h("button", { class: "main" }, t("send")), answer)];
}
