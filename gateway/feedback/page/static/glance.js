// The three cards that head the overview. Each says its answer in words first.
import { h, table } from "./dom.js";
import { comma, inBrackets, n, percent, points, t } from "./text.js";

const answer = (kind, text) => h("p", { class: `answer ${kind}` }, text);
const fill = (name, values) => Object.entries(values).reduce((text, [key, value]) => text.replaceAll(`{${key}}`, value), t(name));

// What keeps the gateway from working as it should, each with what to do.
export function troubles(data) {
  const stuck = data.lag.filter((each) => each.stuck_s).length;
  return [
    data.workers.length ? null : t("runningNoWorkers"),
    stuck ? fill("runningStuck", { count: n(stuck) }) : null,
    data.strangers.length ? fill("runningStrangers", { count: n(data.strangers.length) }) : null,
    data.list.edit_refused ? t("editRefused") : null,
  ].filter(Boolean);
}

export function running(data) {
  const card = (kind, word, ...rest) => h("section", { class: "card", id: "running" }, h("h2", {}, t("running")), answer(kind, t(word)), rest);
  if (!data.known) return card("bad", "runningUnknown", h("p", {}, t("runningUnknownWhy")));
  const problems = troubles(data);
  const facts = [["workers", data.workers.length], ["lanes", data.lanes], ["lag", data.lag_total]].map(([name, count]) => h("span", { class: "number" }, `${t(name)} ${n(count)}`));
  return card(problems.length ? "bad" : "good", !data.workers.length ? "runningNot" : problems.length ? "runningBadly" : "runningWell",
    problems.map((text) => h("p", {}, text)), h("p", { class: "soft facts-line" }, facts));
}

const judged = (counts) => counts.forward + counts.reject;
const sum = (all, name) => all.reduce((total, each) => ({ forward: total.forward + each[name].forward, reject: total.reject + each[name].reject }), { forward: 0, reject: 0 });

export function passing(data) {
  const provinces = Object.entries(data.provinces);
  const all = provinces.map(([, each]) => each), today = sum(all, "today"), yesterday = sum(all, "yesterday");
  const lines = provinces.map(([province, each]) => h("div", {}, h("dt", {}, t(`direction_${province}`)), h("dd", { class: "number" }, percent(each.today.forward, judged(each.today))), h("dd", { class: "soft" }, change(each.today, each.yesterday))));
  return h("section", { class: "card", id: "passing" }, h("h2", {}, t("passing")), answer(judged(today) ? "" : "soft", percent(today.forward, judged(today))),
    h("p", {}, change(today, yesterday)),
    h("p", {}, h("span", { class: "number" }, `${t("reject")} ${n(today.reject)}`), judged(yesterday) ? h("span", { class: "soft" }, inBrackets(`${t("yesterdaySame")} ${n(yesterday.reject)}`)) : null, comma(), h("span", { class: "number" }, `${t("forward")} ${n(today.forward)}`)),
    h("dl", { class: "lines" }, lines),
    h("p", { class: "soft note" }, fill("passingNote", { hours: data.hours })));
}

// "No data" is not 0 and not 100 %.
function change(today, yesterday) {
  if (!judged(today)) return t("noneToday");
  if (!judged(yesterday)) return t("noneYesterday");
  const difference = points(today, yesterday), then = percent(yesterday.forward, judged(yesterday));
  if (!difference) return fill("passingSame", { then });
  return h("span", { class: difference > 0 ? "good" : "bad" }, fill(difference > 0 ? "passingUp" : "passingDown", { then, points: Math.abs(difference).toFixed(1) }));
}

export function toDo(data) {
  const { pending, fed_back } = data.cases, open = pending + fed_back;
  // The lists behind the links have as many cases as are counted here.
  const list = (wanted) => `#/cases?${new URLSearchParams({ ...wanted, own_matter: 1 })}`;
  const link = (status) => h("a", { href: list({ status }) }, t(status));
  const number = (name, value, kind) => h("div", {}, h("dt", {}, name), h("dd", { class: kind }, n(value)));
  const rows = data.units.map((each) => [h("a", { href: list({ status: "open", unit: each.unit }) }, each.unit), each.open, each.overdue ? h("strong", { class: "bad number" }, n(each.overdue)) : 0]);
  return h("section", { class: "card", id: "to-do" }, h("h2", {}, t("toDo")),
    answer(data.overdue ? "bad" : open ? "warn" : "good", open ? fill(data.overdue ? "toDoOverdue" : "toDoOpen", { open: n(open), overdue: n(data.overdue) }) : t("toDoNone")),
    h("dl", { class: "numbers small" }, Object.entries(data.cases).map(([status, count]) => number(link(status), count))),
    rows.length ? table(`${t("toDoUnits")}${inBrackets(fill("toDoOf", { shown: n(rows.length), total: n(data.units_with_open) }))}`, [t("unit"), t("open"), t("overdue")], rows, { cards: false }) : null,
    h("p", { class: "soft note" }, fill("toDoNote", { days: n(data.overdue_days), behind: n(data.behind) })));
}
