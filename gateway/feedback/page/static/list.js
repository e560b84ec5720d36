import { ask, h, show, table } from "./dom.js";
import { ref, t } from "./text.js";

const COLUMNS = [["certificate", "certificate"], ["issuers.sichuan", "sichuanIssuers"], ["issuers.chongqing", "chongqingIssuers"], ["channels", "channels"], ["scenarios", "scenarios"], ["scope.sichuan", "sichuanScope"], ["scope.chongqing", "chongqingScope"]];

export function list(place, state, query) {
  const body = h("div", {}, h("p", { class: "empty" }, t("loading")));
  const change = (event) => { location.hash = `#/list?date=${event.target.value}`; };
  show(place, h("section", { class: "card" }, h("h2", {}, t("list")),
    h("form", { class: "filters", onsubmit: (event) => event.preventDefault() }, h("label", {}, t("asOf"), h("input", { type: "date", name: "date", value: query.date ?? "", onchange: change }))), h("p", { class: "soft" }, t("listNote")), body));
  ask("list", query).then((answer) => {
    const cell = ({ provenance, words }) => h("span", { class: provenance === "read" ? null : "warn" }, words.join("；") || "—", t(`provenance_${provenance}`));
    const rows = answer.rows.map((row) => [h("strong", {}, ref(row), row.unresolved.length ? h("span", { class: "badge warn" }, t("unresolvedRow")) : null), ...COLUMNS.map(([name]) => cell(row.cells[name]))]);
    show(body, table(`${answer.date} · ${answer.rows.length} ${t("rows")} · ${answer.digest}`, [t("row"), ...COLUMNS.map(([, label]) => t(label))], rows));
  }, (error) => show(body, h("p", { class: "empty error" }, error.message)));
  return {};
}
