// Three questions first: does it run, how much is rejected, who has most to do. Then each direction, and what an operator asks.
import { code, h, show, table } from "./dom.js";
import { SHOWN, figuresAt, hourChart, minutes, swatch } from "./charts.js";
import { digests } from "./digest.js";
import { passing, running, toDo } from "./glance.js";
import { meaning } from "./codes.js";
import { clock, colon, comma, day, inBrackets, n, t } from "./text.js";

const TABLE_MINUTES = 5;

export function overview(place, state) {
  const parts = {
    alerts: part(alerts), running: part(running), passing: part(passing), toDo: part(toDo),
    reasons: part(reasons), edition: part(edition), workers: part(workers), lag: part(lag),
  };
  const directions = Object.fromEntries(["sichuan", "chongqing"].map((province) => [province, direction(province)]));
  const places = (...names) => names.map((name) => parts[name].place);
  const body = [
    parts.alerts.place,
    h("div", { class: "grid glance" }, h("div", { class: "stack" }, places("running", "passing")), places("toDo")),
    h("div", { class: "grid" }, Object.values(directions).map((each) => each.place)),
    h("div", { class: "grid" }, parts.reasons.place, h("div", { class: "stack" }, places("edition", "workers", "lag"))),
  ];
  const update = () => {
    const data = state.overview;
    if (!data) return show(place, h("p", { class: "empty" }, t("loading")));
    if (body[0].parentNode !== place) show(place, body);
    const { connected } = data, known = connected && state.link === "connected";
    parts.alerts.update({ lost: data.lost, counted_again: data.counted_again });
    parts.running.update({ known, workers: data.workers, strangers: data.strangers, lanes: data.lanes, lag: data.lag, lag_total: data.lag_total, list: { edit_refused: data.list.edit_refused } });
    parts.passing.update(data.passing);
    parts.toDo.update({ cases: data.cases, units: data.units, units_with_open: data.units_with_open, overdue: data.overdue, behind: data.behind, overdue_days: data.overdue_days });
    parts.reasons.update({ connected, reasons: data.reasons });
    parts.edition.update(data.list);
    parts.workers.update({ connected, workers: data.workers, strangers: data.strangers });
    parts.lag.update({ connected, lag: data.lag, lag_total: data.lag_total });
    for (const [province, flow] of Object.entries(data.provinces)) directions[province].update(flow, data);
  };
  update();
  return { tick: update };
}

// A part of the view is drawn again only where what it shows has changed: a selection in it, and what is open, stay.
function part(make) {
  const place = h("div", { class: "part" });
  let shown = null;
  return {
    place,
    update: (data) => {
      const now = JSON.stringify(data);
      if (now !== shown) show(place, make(data));
      shown = now;
    },
  };
}

// What must not be overlooked stands above everything else; of what somebody has taken note of, a quiet line says who and why.
function alerts(data) {
  const lost = data.lost.filter((each) => each.count).map((each) => t("lostAlert").replaceAll("{province}", t(each.province)).replace("{days}", each.days).replace("{count}", n(each.count)).replace("{last}", day(each.last)));
  const said = [...lost, ...(data.counted_again ? [t("countedAgain")] : [])];
  const noted = data.lost.filter((each) => each.acknowledged).map((each) => t("lostNoted").replaceAll("{province}", t(each.province)).replace("{days}", each.days).replace("{count}", n(each.acknowledged)).replace("{notes}", each.notes.map((note) => `${note.by}${inBrackets(note.why)}`).join(t("wordSemicolon"))));
  return [
    said.length ? h("section", { class: "card alert" }, h("h2", {}, t("attention")), said.map((text) => h("p", { class: "bad" }, text))) : null,
    noted.length ? h("div", { class: "noted" }, noted.map((text) => h("p", { class: "soft" }, text))) : null,
  ];
}

function direction(province) {
  const label = t(`direction_${province}`);
  let found = [];
  const numbers = part(({ rate, today, names }) => h("dl", { class: "numbers" }, number(t("perSecond"), rate),
    names.map((name) => number(`${t("today")}·${t(name)}`, n(today[name]), { forward: "good", reject: "bad", lost: "bad" }[name] ?? "soft"))));
  const legend = part(({ hour, names }) => h("p", { class: "legend soft" }, `${t("lastHour")}${colon()}`,
    names.map((name, index) => h("span", { class: "number" }, SHOWN.includes(name) ? swatch(name, province) : null, `${t(name)} ${n(hour[name])}${index < names.length - 1 ? comma() : ""}`))));
  const reading = h("p", { class: "soft reading", "aria-hidden": "true" }, t("perMinute"));
  const read = (event) => { reading.textContent = figuresAt(event, found) ?? t("perMinute"); };
  const chart = part(() => (found.length ? h("div", { onpointermove: read, onpointerleave: () => { reading.textContent = t("perMinute"); } }, hourChart(province, found, `${label}${comma()}${t("chartLabel")}`)) : null));
  const rows = part(() => hourTable(found, label));
  const details = h("details", {}, h("summary", { "data-key": `table-${province}` }, t("asTable"), h("span", { class: "unseen" }, `${colon()}${label}`)), rows.place);
  const nothing = part(({ text }) => (text ? h("p", { class: "empty" }, t(text)) : null));
  const update = (flow, data) => {
    const isLost = flow.today.lost || flow.hour.some((bucket) => bucket.lost);
    const names = ["forward", "reject", "duplicate", "dead_letter", ...(isLost ? ["lost"] : [])];
    const recent = flow.hour.filter((bucket) => bucket.start >= data.now - 70);
    const rate = recent.reduce((sum, bucket) => sum + bucket.forward + bucket.reject + bucket.duplicate + bucket.dead_letter, 0) / 60;
    numbers.update({ rate: !data.connected ? t("unknown") : rate < 10 ? rate.toFixed(1) : n(Math.round(rate)), today: flow.today, names });
    legend.update({ hour: Object.fromEntries(names.map((name) => [name, flow.hour.reduce((sum, bucket) => sum + bucket[name], 0)])), names });
    found = flow.hour.length ? minutes(flow, data.now) : [];
    chart.update(found);
    rows.update(found);
    nothing.update({ text: flow.hour.length ? null : data.connected ? "nothingHour" : "unknown" });
    details.hidden = reading.hidden = !flow.hour.length;
  };
  const card = h("section", { class: "card", "data-province": province }, h("h2", {}, label), numbers.place, legend.place, chart.place, reading, details, nothing.place);
  return { place: card, update };
}

function hourTable(found, label) {
  const spans = Array.from({ length: found.length / TABLE_MINUTES }, (_, index) => found.slice(index * TABLE_MINUTES, (index + 1) * TABLE_MINUTES));
  const time = (minute) => clock(minute * 60).slice(0, 5);
  const rows = spans.map((span) => [`${time(span[0].minute)}–${time(span.at(-1).minute + 1)}`, ...SHOWN.map((name) => span.reduce((sum, at) => sum + at[name], 0))]);
  return table(`${label}${comma()}${t("lastHour")}`, [t("time"), ...SHOWN.map((name) => t(name))], rows, { cards: false, quiet: true });
}

const number = (name, value, kind) => h("div", {}, h("dt", {}, name), h("dd", { class: kind }, value));

function reasons(data) {
  if (!data.reasons.length) return h("section", { class: "card" }, h("h2", {}, t("reasons")), h("p", { class: "empty" }, t(data.connected ? "noReasons" : "unknown")));
  const link = (code) => h("a", { href: `#/rejections?code=${encodeURIComponent(code)}`, "data-code": code }, meaning(code));
  return h("section", { class: "card" }, table(t("reasons"), [t("reason"), t("count")], data.reasons.map((each) => [link(each.code), each.count]), { cards: false }));
}

function edition(list) {
  return h("section", { class: "card" }, h("h2", {}, t("edition")),
    h("dl", { class: "numbers" }, number(t("since"), list.since), number(t("rows"), list.rows), number(t("unresolved"), list.unresolved_cells, list.unresolved_cells ? "warn" : null)),
    digests(list), list.edit_refused ? h("p", { class: "bad", role: "alert" }, t("editRefused")) : null);
}

function workers(data) {
  if (!data.connected) return h("section", { class: "card" }, h("h2", {}, t("workers")), h("p", { class: "empty" }, t("unknown")));
  const rows = data.workers.map((worker) => [code(`${worker.id} @ ${worker.host}`), worker.lanes.length]);
  return h("section", { class: "card" }, rows.length ? table(`${t("workers")}${inBrackets(rows.length)}`, [t("worker"), t("lanes")], rows, { cards: false }) : [h("h2", {}, t("workers")), h("p", { class: "empty bad" }, t("noWorkers"))],
    data.strangers.map((each) => h("p", { class: "bad", role: "alert" }, `${t("stranger")}${colon()}${each.client} @ ${each.host}${inBrackets(`${t("lanes")} ${each.lanes.length}`)}`)));
}

function lag(data) {
  if (!data.connected) return h("section", { class: "card" }, h("h2", {}, t("lagBy")), h("p", { class: "empty" }, t("unknown")));
  const behind = data.lag.filter((each) => each.lag > 0).slice(0, 12);
  return h("section", { class: "card" }, h("h2", {}, `${t("lagBy")}${inBrackets(n(data.lag_total))}`),
    behind.length ? table(t("lagBy"), [t("partition"), t("lag")], behind.map((each) => [code(`${each.topic}-${each.partition}`), each.stuck_s ? h("span", { class: "bad" }, `${n(each.lag)} ${t("stuck")} ${n(Math.floor(each.stuck_s / 60))} ${t("minutes")}`) : each.lag]), { cards: false }) : h("p", { class: "empty" }, t("lagNone")));
}
