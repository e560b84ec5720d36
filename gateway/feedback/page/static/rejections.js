import { ask, facts, h, openDialog, show, table } from "./dom.js";
import { at, ref, rowName, said, t } from "./text.js";
import { filters } from "./filters.js";

const MOST = 500;
const joined = (first, then) => {
  const known = new Set(first.map((item) => item.place));
  return [...first, ...then.filter((item) => !known.has(item.place))].slice(0, MOST);
};

export function rejections(place, state, query) {
  let items = [], loaded = false, fresh = new Set();
  const list = h("div");
  const controls = filters(["province", "code", "row", "unit"], query, "rejections");
  show(place, h("section", { class: "card" }, h("h2", {}, t("rejections")), controls, list));

  const draw = () => {
    if (!loaded) return show(list, h("p", { class: "empty" }, t("loading")));
    if (!items.length) return show(list, h("p", { class: "empty" }, t("noRejections")));
    const rows = items.map((item) => Object.assign([
      h("time", { datetime: item.received }, at(item.received)), h("span", { class: "short" }, t(item.province)), h("span", { class: "code" }, item.id ?? item.origin),
      h("span", {}, h("span", { class: "code" }, item.codes[0]), item.codes.length > 1 ? ` +${item.codes.length - 1}` : "", h("br"), said(item.reasons[0].message)),
      ref(item) ?? "—", item.units.join("、"),
      h("button", { type: "button", class: "explain", "data-key": item.place, onclick: () => explain(item) }, t("explain")),
    ], { fresh: fresh.has(item.place) }));
    const heads = [t("received"), t("direction"), t("event"), t("reason"), t("row"), t("unit"), t("explain")];
    show(list, table(t("rejections"), heads, rows, { quiet: true }), items.length >= 50 ? h("button", { type: "button", onclick: older }, t("more")) : null);
  };
  const load = async () => {
    try {
      const newest = (await ask("rejections", query)).items;
      const known = new Set(newest.map((item) => item.place));
      items = items.some((item) => known.has(item.place)) ? joined(newest, items) : newest; // no hole in the list
      loaded = true;
      draw();
    } catch (error) {
      show(list, h("p", { class: "empty error" }, `${t("error")}: ${error.message}`));
    }
  };
  const older = async () => {
    try {
      items = joined(items, (await ask("rejections", { ...query, before: items.at(-1).seq })).items);
      draw();
    } catch (error) {
      list.append(h("p", { class: "empty error", role: "alert" }, `${t("error")}: ${error.message}`));
    }
  };
  load();
  const fits = (item) => (!query.province || item.province === query.province) && (!query.row || [ref(item), String(item.row)].includes(query.row)) && (!query.code || item.codes.includes(query.code)) && (!query.unit || item.units.includes(query.unit));
  return {
    again: () => { items = []; load(); }, // a worker that was started anew numbers them from the beginning
    rejections: (news) => {
      if (news.left_out) return void load(); // of a burst a part is pushed: those that fit may be in the rest
      const known = new Set(items.map((item) => item.place));
      const added = news.items.filter((item) => fits(item) && !known.has(item.place));
      if (!added.length) return;
      fresh = new Set(added.map((item) => item.place));
      items = joined(added, items);
      draw();
    },
  };
}

export function explain(item) {
  const reasons = item.reasons.map((reason) => [
    h("span", { class: "code" }, reason.code), said(reason.message), h("span", { class: "code" }, reason.field), reason.found ?? "—", reason.accepted.join("；") || "—", reason.units.join("、"),
    h("a", { href: `#/cases?id=${reason.case}`, class: "short" }, t("toCase")),
  ]);
  const nearest = item.nearest_row;
  openDialog(item.id ?? item.origin, t("close"),
    facts([[t("direction"), t(`direction_${item.province}`)], [t("shownAt"), at(item.shown)], [t("received"), at(item.received)], [t("traceId"), item.trace_id], [t("origin"), item.origin],
      [t("units"), item.units.join("、")], [t("trace"), item.id ? h("a", { href: `#/trace?id=${encodeURIComponent(item.id)}` }, t("toTrace")) : null]]),
    h("h3", {}, t("reason")), table(t("reason"), [t("reason"), t("message"), t("field"), t("found"), t("accepted"), t("unit"), t("cases")], reasons, { quiet: true }),
    nearest ? [h("h3", {}, `${t("nearest")}：${rowName(nearest)} ${nearest.certificate ?? ""}`), checks(nearest.checks)] : null);
}

export const checks = (found) => table(t("check"), [t("check"), t("result"), t("found"), t("accepted")], found.map((check) => [
  h("span", { class: "short" }, t(check.dimension)), h("span", { class: `short ${{ match: "good", mismatch: "bad" }[check.result] ?? "warn"}` }, t(check.result === "unresolved" ? "unresolvedMark" : check.result)), check.found ?? "—", check.accepted.join("；") || "—",
]), { quiet: true });
