// One case in the dialog: what to do, what it is about, its examples and history, and the next mark.
import { href } from "./address.js";
import { fieldInFull, valueOf, whatToDo } from "./codes.js";
import { openDialog } from "./dialog.js";
import { code, facts, failure, h } from "./dom.js";
import { markForm } from "./marking.js";
import { at, colon, n, rowName, said, t } from "./text.js";

const badge = (status) => h("span", { class: `badge ${{ pending: "warn", verified: "good" }[status] ?? ""}` }, t(status));
// All of its events are another unit's matter first: nobody is asked about it, as in the reports.
const isBehind = (item) => item.behind === item.count;
export const badges = (item) => h("span", {}, badge(item.status.code), item.reopened ? [" ", h("span", { class: "badge bad" }, t("reopened"))] : null, isBehind(item) ? [" ", h("span", { class: "badge" }, t("behindShort"))] : null);

export function caseDialog(item, readOnly, marked, error) {
  if (error) return openDialog(t("cases"), failure(error));
  if (!item) return openDialog(t("cases"), h("p", { class: "empty" }, t("noSuchCase")));
  openDialog(said(item.message),
    isBehind(item) ? h("p", { class: "advice" }, t("behind")) : whatToDo(item.code),
    facts([[t("status"), badges(item)], [t("units"), item.responsible_units.join(t("listComma"))], [t("direction"), item.province ? t(`direction_${item.province}`) : null], [t("row"), item.row ? `${rowName(item)} ${item.certificate ?? ""}` : null],
      [t("value"), item.value && valueOf(item.field, item.value)], [t("accepted"), item.accepted.join(t("wordSemicolon"))], [t("count"), n(item.count)], [t("first"), at(item.first_seen)], [t("last"), at(item.last_seen)],
      [t("field"), fieldInFull(item.field)], [t("reason"), code(item.code)], [t("caseId"), code(item.id)]]),
    h("h3", {}, t("examples")), h("ul", { class: "plain" }, item.examples.map(example)),
    h("h3", {}, t("history")), item.history.length ? h("ul", { class: "plain" }, item.history.map(step)) : h("p", { class: "soft" }, t("noHistory")),
    isBehind(item) ? null : markForm(item, readOnly, marked));
}

// An event is traced by its id; what has none, by its place.
const example = (each) => h("li", {}, h("a", { href: href("trace", each.id ? { id: each.id } : { at: each.origin }) }, code(each.id ?? each.origin)), ` · ${at(each.received)}`);
const step = (each) => h("li", {}, `${at(each.at)} ${t(each.change)} → ${t(each.status.code)}${each.by ? ` · ${each.by}` : ""}${each.note ? `${colon()}${each.note}` : ""}`);
