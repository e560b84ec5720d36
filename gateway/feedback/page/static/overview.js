import { h, show, table } from "./dom.js";
import { hourChart } from "./charts.js";
import { n, t } from "./text.js";

export function overview(place, state) {
  const update = () => {
    const data = state.overview;
    if (!data) return show(place, h("p", { class: "empty" }, t("loading")));
    show(
      place,
      h("div", { class: "grid" }, Object.entries(data.provinces).map(([province, flow]) => direction(province, flow, data))),
      h("div", { class: "grid" }, reasons(data), h("div", { class: "stack" }, cases(data), edition(data), workers(data), lag(data))),
    );
  };
  update();
  return { tick: update };
}

function direction(province, flow, data) {
  const label = t(`direction_${province}`);
  const recent = flow.hour.filter((bucket) => bucket.start >= data.now - 70);
  const rate = recent.reduce((sum, bucket) => sum + bucket.forward + bucket.reject + bucket.duplicate + bucket.dead_letter, 0) / 60;
  const isLost = flow.today.lost || flow.hour.some((bucket) => bucket.lost);
  const names = ["forward", "reject", "duplicate", "dead_letter", ...(isLost ? ["lost"] : [])];
  const hour = Object.fromEntries(names.map((name) => [name, flow.hour.reduce((sum, bucket) => sum + bucket[name], 0)]));
  return h("section", { class: "card", "data-province": province }, h("h2", {}, label),
    h("dl", { class: "numbers" },
      number(t("perSecond"), rate < 10 ? rate.toFixed(1) : n(Math.round(rate))),
      names.map((name) => number(`${t("today")}·${t(name)}`, n(flow.today[name]), { forward: "good", reject: "bad", lost: "bad" }[name] ?? "soft"))),
    h("p", { class: "soft" }, `${t("lastHour")}：${names.map((name) => `${t(name)} ${n(hour[name])}`).join("，")}`),
    flow.hour.length ? hourChart(flow, data, `${label}，${t("lastHour")}`) : h("p", { class: "empty" }, t("nothingHour")));
}

const number = (name, value, kind) => h("div", {}, h("dt", {}, name), h("dd", { class: kind }, value));

function reasons(data) {
  if (!data.reasons.length) return h("section", { class: "card" }, h("h2", {}, t("reasons")), h("p", { class: "empty" }, t("noReasons")));
  const link = (code) => h("a", { href: `#/rejections?code=${encodeURIComponent(code)}`, class: "code" }, code);
  return h("section", { class: "card" }, table(t("reasons"), [t("reason"), t("count")], data.reasons.map((each) => [link(each.code), each.count]), { cards: false }));
}

function cases(data) {
  const link = (status) => h("a", { href: `#/cases?status=${status}` }, t(status));
  return h("section", { class: "card" }, h("h2", {}, t("casesBy")),
    h("dl", { class: "numbers" }, Object.entries(data.cases).map(([status, count]) => number(link(status), n(count), status === "pending" && count ? "warn" : null))));
}

function edition(data) {
  const list = data.list;
  return h("section", { class: "card" }, h("h2", {}, t("edition")),
    h("dl", { class: "numbers" }, number(t("since"), list.since), number(t("rows"), list.rows), number(t("unresolved"), list.unresolved_cells, list.unresolved_cells ? "warn" : null)),
    h("p", { class: "code soft" }, list.digest), list.edit_refused ? h("p", { class: "bad", role: "alert" }, t("editRefused")) : null);
}

function workers(data) {
  const rows = data.workers.map((worker) => [h("span", { class: "code" }, `${worker.id} @ ${worker.host}`), worker.lanes.length]);
  return h("section", { class: "card" }, rows.length ? table(`${t("workers")}（${rows.length}）`, [t("worker"), t("lanes")], rows, { cards: false }) : [h("h2", {}, t("workers")), h("p", { class: "empty bad" }, t("noWorkers"))]);
}

function lag(data) {
  const behind = data.lag.filter((each) => each.lag > 0).slice(0, 12);
  return h("section", { class: "card" }, h("h2", {}, `${t("lagBy")}（${n(data.lag_total)}）`),
    behind.length ? table(t("lagBy"), [t("partition"), t("lag")], behind.map((each) => [h("span", { class: "code" }, `${each.topic}-${each.partition}`), each.lag]), { cards: false }) : h("p", { class: "empty" }, t("lagNone")));
}
