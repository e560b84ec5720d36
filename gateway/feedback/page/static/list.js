// The recognition list as it is in force on a day, cell by cell, with the documents that it follows from.
import { ask } from "./ask.js";
import { digests } from "./digest.js";
import { failure, h, show, table } from "./dom.js";
import { filters } from "./filters.js";
import { day, n, ref, t } from "./text.js";

const COLUMNS = [["certificate", "certificate"], ["issuers.sichuan", "sichuanIssuers"], ["issuers.chongqing", "chongqingIssuers"], ["channels", "channels"], ["scenarios", "scenarios"], ["scope.sichuan", "sichuanScope"], ["scope.chongqing", "chongqingScope"]];

export function list(place, state, query) {
  const body = h("div", {}, h("p", { class: "empty" }, t("loading")));
  show(place, h("section", { class: "card" }, h("h2", {}, t("list")), filters(["date"], query, "list", () => load()), body));
  const load = async () => {
    try {
      const answer = await ask("list", query);
      place.querySelector("[name=date]").value = answer.date; // the day in force, where none was asked for
      show(body, answer.rows.length ? edition(answer) : h("p", { class: "empty" }, t("noList").replace("{date}", day(answer.date)).replace("{first}", day(answer.first))));
    } catch (error) {
      show(body, failure(error));
    }
  };
  load();
  return { again: load };
}

function edition(answer) {
  const cell = ({ provenance, words }) => h("span", { class: provenance === "read" ? null : "warn" }, words.join(t("wordSemicolon")) || "—", t(`provenance_${provenance}`));
  const rows = answer.rows.map((row) => [h("strong", {}, ref(row), row.unresolved.length ? h("span", { class: "badge warn" }, t("unresolvedRow")) : null), ...COLUMNS.map(([name]) => cell(row.cells[name]))]);
  const documents = answer.documents.map((each) => h("li", {}, `${each.title} ${each.number}`));
  return [h("h3", {}, t("documents")), h("ul", { class: "plain" }, documents), h("p", { class: "soft" }, t("listNote")), digests(answer),
    table(t("listCaption").replace("{date}", day(answer.date)).replace("{since}", day(answer.since)).replace("{rows}", n(answer.rows.length)), [t("row"), ...COLUMNS.map(([, label]) => t(label))], rows)];
}
