// The days that are meant: all, a usual period, or two dates that are typed; days are China's (UTC+8). The address has the choice,
// so that "this week" is still this week for whoever gets the link.
import { h } from "./dom.js";
import { day, t } from "./text.js";

const USUAL = ["today", "week", "lastweek", "last7", "month", "lastmonth"];
const TYPED = "days";
const DAY_MS = 86400_000;

const today = () => new Date(Date.now() + 8 * 3600_000).toISOString().slice(0, 10);
const shifted = (date, days) => new Date(Date.parse(date) + days * DAY_MS).toISOString().slice(0, 10);
const chosen = ({ period, since, until }) => (since || until ? TYPED : USUAL.includes(period) ? period : "");

// The first and the last day that `query` means; nothing where it means all.
export function daysOf(query) {
  const now = today(), monday = shifted(now, -((new Date(now).getUTCDay() + 6) % 7));
  const first = `${now.slice(0, 8)}01`, lastOfBefore = shifted(first, -1);
  const usual = {
    today: [now, now], week: [monday, now], lastweek: [shifted(monday, -7), shifted(monday, -1)], last7: [shifted(now, -6), now],
    month: [first, now], lastmonth: [`${lastOfBefore.slice(0, 8)}01`, lastOfBefore],
  }[chosen(query)];
  if (usual) return { since: usual[0], until: usual[1] };
  return chosen(query) ? { since: query.since, until: query.until ?? now } : {};
}

export const inDays = (query) => ({ ...query, period: null, ...daysOf(query) });

export function periodInWords({ since, until }) {
  if (!since) return t("untilDay").replace("{until}", day(until));
  return since === until ? day(since) : t("fromTo").replace("{since}", day(since)).replace("{until}", day(until));
}

// `query` is changed in place; `changed` is called after it.
export function periodControls(query, changed, usualDays) {
  const inputs = ["since", "until"].map((name) => h("input", { type: "date", name, min: "2000-01-01", required: true, onchange: (event) => {
    const { value } = event.target;
    if (!event.target.checkValidity() || query[name] === value) return;
    query[name] = value;
    changed();
  } }));
  const labels = inputs.map((input) => h("label", {}, t(input.name === "since" ? "from" : "until"), input));
  const draw = () => labels.forEach((label, index) => {
    label.hidden = chosen(query) !== TYPED;
    inputs[index].value = query[inputs[index].name] ?? "";
  });
  const choose = (event) => {
    const before = daysOf(query);
    for (const name of ["period", "since", "until"]) delete query[name];
    if (event.target.value === TYPED) Object.assign(query, before.since ? before : { since: shifted(today(), 1 - usualDays), until: today() });
    else if (event.target.value) query.period = event.target.value;
    draw();
    changed();
  };
  const option = (value) => h("option", { value, selected: chosen(query) === value }, t(value ? `period_${value}` : "all"));
  draw();
  return [h("label", {}, t("period"), h("select", { name: "period", onchange: choose }, ["", ...USUAL, TYPED].map(option))), labels];
}
