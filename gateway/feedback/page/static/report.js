// A department's report as a file: of the unit and the days that the filters mean. Where they mean several units, one is to be chosen.
import { href } from "./address.js";
import { download } from "./ask.js";
import { h, show } from "./dom.js";
import { daysOf, periodInWords } from "./period.js";
import { colon, inBrackets, n, t } from "./text.js";

export function reportLinks() {
  let query = {}, unit = null;
  const whose = h("span"), buttons = h("span"), byDate = h("span"), answer = h("span", { role: "status" });
  const save = async (format) => {
    show(answer, h("span", { class: "soft" }, ` ${t("making")}`));
    try {
      await download("report", { unit, format, ...daysOf(query) });
      show(answer);
    } catch (error) {
      show(answer, h("span", { class: "bad" }, ` ${t("reportFailed")}${colon()}${error.message}`));
    }
  };
  const button = (format) => h("button", { type: "button", "data-format": format, "data-key": `report-${format}`, "aria-label": `${t("report")} ${format.toUpperCase()}`, onclick: () => save(format) }, format.toUpperCase());
  show(buttons, ["html", "xlsx", "md"].map((format) => [button(format), " "]));
  const draw = (now, { report: { units, count, of_all: ofAll }, reports: dated, report_days: days }) => {
    query = now;
    [unit] = query.unit && count === 1 ? units : [null];
    buttons.hidden = Boolean(query.unit) && count !== 1;
    const wanted = daysOf(query), period = wanted.until ? periodInWords(wanted) : t("reportDays").replace("{days}", n(days));
    const of = !query.unit ? t("reportBoth") : count === 1 ? `${unit}${ofAll ? inBrackets(t("reportAll")) : ""}` : null;
    show(whose, of ? `${t("report")}${inBrackets(`${period}${t("wordSemicolon")}${of}`)}${colon()}` : choice(units, count));
    if (dated !== Boolean(byDate.children.length)) show(byDate, dated ? h("a", { href: "/reports/" }, t("reportsByDate")) : null);
  };
  const choice = (units, count) => {
    const said = t(count ? "reportUnits" : "reportNoUnit").replace("{count}", n(count)).replace("{text}", query.unit);
    return [`${t("report")}${colon()}${said}`, units.map((each, index) => [index ? t("listComma") : "", h("a", { href: href("cases", { ...query, unit: each }) }, each)]), count > units.length ? "…" : "", " "];
  };
  return { element: h("p", { class: "report" }, whose, buttons, byDate, answer), draw };
}
