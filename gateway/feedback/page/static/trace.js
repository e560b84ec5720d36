// One event's whole story: what was decided and why, what to do, where it came in and what went out.
import { href } from "./address.js";
import { ask } from "./ask.js";
import { meaning, nameOfField, whatToDo } from "./codes.js";
import { code, facts, failure, h, show } from "./dom.js";
import { checks } from "./explanation.js";
import { at, inBrackets, isEnglish, n, rowName, said, t } from "./text.js";

const PLACE = /^[\w.-]+\/\d+[/@]\d+$/;

export function trace(place, state, query) {
  const body = h("div", { class: "stack" });
  const search = (event) => {
    event.preventDefault();
    const text = new FormData(event.target).get("wanted").trim(), wanted = PLACE.test(text) ? { at: text } : { id: text };
    if ((query.id ?? query.at) === text) find(query);
    else location.hash = href("trace", wanted);
  };
  show(place, h("section", { class: "card" }, h("h2", {}, t("trace")),
    h("form", { class: "filters", onsubmit: search }, h("label", {}, t("idOrPlace"), h("input", { name: "wanted", class: "long", required: true, maxlength: 500, value: query.id ?? query.at ?? "", placeholder: t("placeHint") })), h("button", { class: "main" }, t("search")))), body);
  const find = async (wanted) => {
    const took = h("span", { "aria-hidden": "true" }), began = Date.now(); // no screen reader counts seconds aloud
    show(body, h("p", { class: "empty", role: "status" }, t("searching"), took));
    const clock = setInterval(() => { took.textContent = ` ${t("searchingFor").replace("{seconds}", n(Math.round((Date.now() - began) / 1000)))}`; }, 1000);
    try {
      const story = await ask("trace", { id: wanted.id, at: wanted.at });
      show(body, unread(story.searched), notArchived(story.searched), story.occurrences.length ? story.occurrences.map(occurrence) : h("p", { class: "empty" }, t("noTrace")), searched(story.searched));
    } catch (error) {
      show(body, failure(error));
    } finally {
      clearInterval(clock);
    }
  };
  if (query.id || query.at) find(query);
  return {};
}

// What could not be read is said first: what is missing below may stand there.
const unread = ({ unread: places }) => (places?.length ? h("p", { class: "card alert bad" }, t("unread").replace("{places}", places.map((each) => `${each.topic}/${each.partition}`).join(t("listComma")))) : null);
const ARCHIVE_TROUBLE = { partly: "archivePartly", timeout: "archiveTimeout", failed: "archiveFailed" };
const notArchived = ({ archive }) => (ARCHIVE_TROUBLE[archive] ? h("p", { class: "card alert bad" }, t(ARCHIVE_TROUBLE[archive])) : null);
const searched = (what) => h("p", { class: "soft" }, t(what.archive === "searched" ? "searchedArchive" : "searchedRecords").replace("{count}", n(what.records)));

const where = (place) => `${place.topic}/${place.partition}/${place.offset}`;
const line = (place, when, what) => h("div", {}, what ? `${what} ` : null, code(where(place)), when ? ` ${at(when)}` : null);

function occurrence(found) {
  const isRepeated = found.outcome === "duplicate", first = found.reasons[0]?.code ?? found.error?.code;
  const reason = (each) => h("li", {}, said(each.message), inBrackets(nameOfField(each.field)), " ", code(each.code));
  return h("section", { class: "card" },
    h("h3", {}, `${t(`outcome_${found.outcome}`)}${found.id ? inBrackets(found.id) : ""}`),
    found.archived_day ? h("p", { class: "soft" }, t("fromArchive").replace("{day}", found.archived_day)) : null,
    first ? whatToDo(first) : null,
    facts([[t("reason"), found.reasons.length ? h("ul", { class: "plain" }, found.reasons.map(reason)) : null],
      [t("error"), found.error ? h("span", {}, meaning(found.error.code), " ", code(found.error.code)) : null],
      [t("units"), found.responsible_units.join(t("listComma"))], [t("row"), rowName(found) && `${rowName(found)} ${found.checks.find((each) => each.dimension === "certificate")?.accepted.join(t("wordSemicolon")) ?? ""}`], [t("shownAt"), at(found.shown_at)], [t("received"), at(found.input.received)],
      [t("cases"), found.cases.length ? found.cases.map((each) => caseOf(each, found.archived_day)) : null],
      [t("duplicateOf"), isRepeated ? duplicateOf(found.duplicate_of) : null],
      [t("sent"), found.outputs.length ? found.outputs.map((output) => [line(output, output.written, t(`kind_${output.kind}`)), output.redrive ? h("div", { class: "soft" }, `${t("redriven")}${output.supersedes ? `${t("supersedes")} ${output.supersedes}` : ""}`) : null]) : null],
      [t("origin"), [code(where(found.input)), found.input.is_kept ? null : ` ${t("inputGone")}`]], [t("ledger"), [found.ledger, ...found.redrives].filter(Boolean).map((entry) => line(entry))], [t("traceId"), found.trace_id && code(found.trace_id)],
      [t("proved"), isEnglish() ? found.proved : found.proved_zh]]),
    found.checks.length ? checks(found.checks) : null);
}

// What is archived was counted long ago; where the case is not known, its counts were made again since, of what the topics still had.
const caseOf = ({ id, status }, archived) => (archived && !status ? h("div", {}, code(id), ` ${t("notCountedAnyMore")}`)
  : h("div", {}, h("a", { href: href("cases", {}, id) }, `${t("toCase")} `, code(id)), ` ${status ? t(status.code) : t("notCounted")}`));

const duplicateOf = (place) => (place ? h("a", { href: href("trace", { at: place }) }, code(place)) : t("notSearched"));
