// What became of the certificates of one side on the other: row by area, and how they were shown.
import { ask } from "./ask.js";
import { code, failure, h, show, table } from "./dom.js";
import { lastDays } from "./charts.js";
import { filters } from "./filters.js";
import { colon, comma, inBrackets, listed, n, percent, ref, t } from "./text.js";

export function effect(place, state, query) {
  const days = lastDays(30);
  const wanted = { province: "sichuan", since: days[0], until: days.at(-1), ...query };
  const body = h("div", {}, h("p", { class: "empty" }, t("loading")));
  show(place, h("section", { class: "card" }, h("h2", {}, t("effect")), filters(["province", "since", "until"], wanted, "effect", () => load(), { all: false }), body));
  const load = () => ask("effectiveness", wanted).then(draw, (error) => show(body, failure(error)));
  const draw = (answer) => show(body, answer.areas.length ? [heat(answer), besides(answer), idle(answer), uses(answer)] : [h("p", { class: "empty" }, t("noDisplays")), besides(answer)]);
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

const idle = (answer) => h("p", { class: "soft" }, `${t("idle")}${inBrackets(answer.idle_areas.length)}${colon()}${listed(answer.idle_areas) || "—"}`);

// What has no place in the table is counted beside it.
function besides(answer) {
  const count = answer.elsewhere.reduce((sum, each) => sum + each.count, 0);
  const where = listed(answer.elsewhere.map((each) => `${each.name} ${n(each.count)}`));
  return [
    answer.unlisted ? h("p", { class: "soft" }, t("unlisted").replace("{count}", n(answer.unlisted))) : null,
    count ? h("p", { class: "soft" }, t(`elsewhere_${answer.province}`).replace("{count}", n(count)), colon(), where) : null,
  ];
}

// Colours say the share that was rejected: up to so many per cent each; the last one is all above.
const LEVELS = [0, 5, 20, 50, 100];
const level = ({ forwarded, refused }) => LEVELS.findIndex((most) => 100 * refused <= most * (forwarded + refused));
const levels = () => h("ul", { class: "legend plain", "aria-label": t("heatLegend") }, LEVELS.map((_, index) => h("li", { class: `h${index}` }, t(`heat_${index}`))));

const sum = (cells) => cells.reduce((total, each) => ({ forwarded: total.forwarded + each.forwarded, refused: total.refused + each.refused }), { forwarded: 0, refused: 0 });
const share = ({ forwarded, refused }) => percent(refused, forwarded + refused);

function heat(answer) {
  const counts = (found, total) => [h("span", { class: "number" }, n(found.forwarded)), found.refused ? h("small", { class: "number" }, `✗ ${n(found.refused)}`) : null, total && found.refused ? h("small", { class: "number" }, share(found)) : null];
  const words = (row, where, found) => `${ref(row)} ${row.certificate ?? ""} · ${where}${colon()}${t("forward")} ${n(found.forwarded)}${comma()}${t("reject")} ${n(found.refused)}${inBrackets(share(found))}`;
  const cell = (row, area) => {
    const found = row.areas[area.code];
    return found ? h("td", { class: `h${level(found)}`, title: words(row, area.name, found) }, counts(found)) : h("td", { class: "soft" }, "·");
  };
  const total = (cells) => (cells.length ? h("td", { class: `total h${level(sum(cells))}` }, counts(sum(cells), true)) : h("td", { class: "total soft" }, "·"));
  const head = (row) => h("th", { scope: "row" }, `${ref(row)} ${row.certificate ?? t("provenance_missing")} `, unresolved(row), Object.keys(row.areas).length ? null : h("span", { class: "soft" }, ` ${t("never")}`));
  const all = answer.rows.map((row) => Object.values(row.areas));
  const of = (area) => answer.rows.flatMap((row) => row.areas[area.code] ?? []);
  const { forwarded, refused } = sum(all.flat());
  const said = t("heatSum").replace("{count}", n(forwarded + refused)).replace("{forward}", n(forwarded)).replace("{reject}", n(refused)).replace("{share}", share({ forwarded, refused }));
  return [
    h("p", {}, said), levels(),
    table(t("heatCaption"), [], [], {
      kind: "heat",
      head: h("tr", {}, h("th", { scope: "col" }, t("row")), h("th", { scope: "col", class: "total" }, t("total")), answer.areas.map((area) => h("th", { scope: "col" }, h("span", {}, area.name)))),
      body: [
        ...answer.rows.map((row, index) => h("tr", {}, head(row), total(all[index]), answer.areas.map((area) => cell(row, area)))),
        h("tr", { class: "total" }, h("th", { scope: "row" }, t("total")), total(all.flat()), answer.areas.map((area) => total(of(area)))),
      ],
    }),
  ];
}

const unresolved = (row) => (row.unresolved ? h("span", { class: "badge warn" }, t("unresolvedRow"), row.cost ? ` · ${t("cost")} ${n(row.cost)}` : null) : null);

function uses(answer) {
  const scenario = (use) => (use.scenario_text ? h("span", {}, use.scenario_text, " ", code(use.scenario, "soft")) : code(use.scenario));
  const rows = answer.rows.flatMap((row) => row.uses.map((use) => [`${ref(row)} ${row.certificate ?? ""}`, use.channel, scenario(use), use.count]));
  return rows.length ? [h("h3", {}, t("uses")), table(t("uses"), [t("row"), t("channel"), t("scenario"), t("count")], rows, { quiet: true })] : null;
}
