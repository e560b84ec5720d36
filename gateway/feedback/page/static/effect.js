import { ask, h, show, table } from "./dom.js";
import { lastDays } from "./charts.js";
import { n, ref, t } from "./text.js";

export function effect(place, state, query) {
  const days = lastDays(30);
  const wanted = { province: "sichuan", since: days[0], until: days.at(-1), ...query };
  const go = (name) => (event) => { location.hash = `#/effect?${new URLSearchParams({ ...wanted, [name]: event.target.value })}`; };
  const body = h("div", {}, h("p", { class: "empty" }, t("loading")));
  show(place, h("section", { class: "card" }, h("h2", {}, t("effect")), h("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
    h("label", {}, t("direction"), h("select", { name: "province", onchange: go("province") }, ["sichuan", "chongqing"].map((each) => h("option", { value: each, selected: each === wanted.province }, t(`direction_${each}`))))),
    h("label", {}, t("from"), h("input", { type: "date", name: "since", value: wanted.since, onchange: go("since") })),
    h("label", {}, t("until"), h("input", { type: "date", name: "until", value: wanted.until, onchange: go("until") }))), body));
  const load = () => ask("effectiveness", wanted).then(draw, (error) => show(body, h("p", { class: "empty error" }, error.message)));
  const draw = (answer) => show(body, answer.areas.length ? [heat(answer), idle(answer), uses(answer)] : h("p", { class: "empty" }, t("noDisplays")));
  let counted = "";
  load();
  return {
    again: load,
    tick: () => {
      const now = JSON.stringify(state.overview.provinces[wanted.province]?.today);
      if (now !== counted) load(); // the first time too: what came while the page was loading
      counted = now;
    },
  };
}

const idle = (answer) => h("p", { class: "soft" }, `${t("idle")}（${answer.idle_areas.length}）：${answer.idle_areas.join("、") || "—"}`);

function heat(answer) {
  const most = Math.max(1, ...answer.rows.flatMap((row) => Object.values(row.areas).map((each) => each.forwarded + each.refused)));
  const level = (total) => (total ? `h${Math.min(4, 1 + Math.floor((4 * Math.log(total + 1)) / Math.log(most + 2)))}` : null);
  const cell = (row, area) => {
    const found = row.areas[area.code];
    return found ? h("td", { class: level(found.forwarded + found.refused) }, n(found.forwarded), found.refused ? h("small", {}, `✗ ${n(found.refused)}`) : null) : h("td", { class: "soft" }, "·");
  };
  return h("div", { class: "scroll" }, h("table", { class: "heat" }, h("caption", {}, `${t("heatCaption")}；${t("unlisted")} ${n(answer.unlisted)}`),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("row")), answer.areas.map((area) => h("th", { scope: "col" }, area.name)))),
    h("tbody", {}, answer.rows.map((row) => h("tr", {}, h("th", { scope: "row" }, `${ref(row)} ${row.certificate ?? t("provenance_missing")} `, unresolved(row), Object.keys(row.areas).length ? null : h("span", { class: "soft" }, ` ${t("never")}`)), answer.areas.map((area) => cell(row, area)))))));
}

const unresolved = (row) => (row.unresolved ? h("span", { class: "badge warn" }, t("unresolvedRow"), row.cost ? ` · ${t("cost")} ${n(row.cost)}` : null) : null);

function uses(answer) {
  const rows = answer.rows.flatMap((row) => row.uses.map((use) => [`${ref(row)} ${row.certificate ?? ""}`, use.channel, use.scenario, use.count]));
  return rows.length ? [h("h3", {}, t("uses")), table(t("uses"), [t("row"), t("channel"), t("scenario"), t("count")], rows, { quiet: true })] : null;
}
