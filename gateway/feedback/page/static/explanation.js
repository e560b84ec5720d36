// One rejection explained: what to do, each reason, the nearest row of the list compared in five dimensions, ids and places last.
import { href } from "./address.js";
import { fieldInFull, valueOf, whatToDo } from "./codes.js";
import { openDialog } from "./dialog.js";
import { code, facts, failure, h, table } from "./dom.js";
import { at, colon, ref, rowName, said, t } from "./text.js";

// A row with its certificate, where that is known.
export const rowCell = (item, certificate) => (ref(item) ? h("span", {}, ref(item), certificate ? [h("br"), certificate] : null) : "—");

// The direction in short, as tables have it.
export const direction = (item) => (item.province ? h("span", { class: "short", title: t(`direction_${item.province}`) }, t(`short_${item.province}`)) : "—");

export const traceLink = (id, origin) => href("trace", id ? { id } : { at: origin });

export function explanation(item, error) {
  if (error) return openDialog(t("rejections"), failure(error));
  if (!item) return openDialog(t("rejections"), h("p", { class: "empty" }, t("rejectionGone")));
  const nearest = item.nearest_row, [first] = item.reasons;
  openDialog(said(first.message),
    whatToDo(first.code),
    facts([[t("units"), item.units.join(t("listComma"))], [t("direction"), item.province ? t(`direction_${item.province}`) : null], [t("shownAt"), at(item.shown)], [t("received"), at(item.received)]]),
    h("h3", {}, t("reason")), table(t("reason"), [t("reason"), t("field"), t("found"), t("accepted"), t("unit"), t("cases")], item.reasons.map(reasonCells), { quiet: true }),
    nearest ? [h("h3", {}, `${t("nearest")}${colon()}${rowName(nearest)} ${nearest.certificate ?? ""}`), checks(nearest.checks)] : null,
    h("h3", {}, t("event")),
    facts([[t("eventId"), item.id && code(item.id)], [t("origin"), code(item.origin)], [t("traceId"), item.trace_id && code(item.trace_id)], [t("trace"), h("a", { href: traceLink(item.id, item.origin) }, t("toTrace"))]]));
}

const reasonCells = (reason) => [
  h("span", {}, said(reason.message), h("br"), code(reason.code, "soft")), fieldInFull(reason.field), valueOf(reason.field, reason.found) ?? "—", reason.accepted.join(t("wordSemicolon")) || "—", reason.units.join(t("listComma")),
  h("a", { href: href("cases", {}, reason.case), class: "short", "aria-label": `${t("toCase")} ${said(reason.message)}` }, t("toCase")),
];

const RESULTS = { match: ["good", "match"], mismatch: ["bad", "mismatch"], unresolved: ["warn", "unresolvedMark"] };

export const checks = (found) => table(t("check"), [t("check"), t("result"), t("found"), t("accepted")], found.map((check) => [
  h("span", { class: "short" }, t(check.dimension)), h("span", { class: `short ${RESULTS[check.result][0]}` }, t(RESULTS[check.result][1])), valueOf(check.field, check.found) ?? "—", check.accepted.join(t("wordSemicolon")) || "—",
]), { quiet: true });
