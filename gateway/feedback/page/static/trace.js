import { ask, facts, h, show } from "./dom.js";
import { at, rowName, said, t } from "./text.js";
import { checks } from "./rejections.js";

export function trace(place, state, query) {
  const body = h("div");
  const search = (event) => {
    event.preventDefault();
    const id = new FormData(event.target).get("id").trim();
    if (id === query.id) find(id);
    else location.hash = `#/trace?id=${encodeURIComponent(id)}`;
  };
  show(place, h("section", { class: "card" }, h("h2", {}, t("trace")),
    h("form", { class: "filters", onsubmit: search }, h("label", {}, t("eventId"), h("input", { name: "id", required: true, maxlength: 500, value: query.id ?? "" })), h("button", { class: "main" }, t("search")))), body);
  const find = async (id) => {
    show(body, h("p", { class: "empty" }, t("searching")));
    try {
      const story = await ask("trace", { id });
      show(body, story.occurrences.length ? story.occurrences.map(occurrence) : h("p", { class: "empty" }, t("noTrace")));
    } catch (error) {
      show(body, h("p", { class: "empty error" }, error.message));
    }
  };
  if (query.id) find(query.id);
  return {};
}

const where = (place) => `${place.topic}/${place.partition}@${place.offset}`;

function occurrence(found) {
  const code = (text) => h("span", { class: "code" }, text);
  return h("section", { class: "card" },
    facts([[t("outcome"), t(found.outcome)], [t("received"), `${at(found.input.received)}  ${where(found.input)}`], [t("shownAt"), at(found.shown_at)], [t("traceId"), found.trace_id], [t("row"), rowName(found)],
      [t("reason"), found.reasons.length ? h("ul", { class: "plain" }, found.reasons.map((reason) => h("li", {}, code(reason.code), " ", said(reason.message)))) : null],
      [t("error"), found.error?.code], [t("duplicateOf"), found.duplicate_of], [t("units"), found.responsible_units.join("、")],
      [t("sent"), found.outputs.length ? found.outputs.map((output) => h("div", {}, code(where(output)), ` ${at(output.written)}`)) : null],
      [t("cases"), found.cases?.length ? found.cases.map((each) => h("div", {}, h("a", { href: `#/cases?id=${each.id}` }, `${each.id} ${each.status ?? ""}`))) : null],
      [t("ledger"), found.ledger ? code(where(found.ledger)) : null], [t("proved"), found.proved]]),
    found.checks.length ? checks(found.checks) : null);
}
