// Filters stand in the address, so that a view can be linked to.
import { h } from "./dom.js";
import { t } from "./text.js";

const CODES = ["INVALID_EVENT", "SOURCE_MISMATCH", "SIGNATURE_MISSING", "SIGNATURE_INVALID", "SIGNATURE_KEY_UNKNOWN", "ID_REUSED", "FUTURE_EVENT", "STALE_EVENT", "NOT_CROSS_PROVINCE", "CERTIFICATE_NOT_LISTED", "LIST_ROW_UNRESOLVED", "LIST_NOT_IN_EFFECT", "IDENTIFIER_INVALID", "ISSUER_NOT_RECOGNISED", "CHANNEL_NOT_RECOGNISED", "SCENARIO_NOT_RECOGNISED", "OUT_OF_PILOT_SCOPE", "CERTIFICATE_NOT_YET_VALID", "CERTIFICATE_EXPIRED", "TOO_LARGE", "NOT_UTF8", "NOT_JSON", "NOT_A_CLOUDEVENT", "REFUSED_BY_BROKER", "UNDECIDABLE"];
const CHOICES = {
  province: [["sichuan", "direction_sichuan"], ["chongqing", "direction_chongqing"]],
  status: [["pending", "pending"], ["fed_back", "fed_back"], ["verified", "verified"]],
  code: CODES.map((code) => [code, code]),
};
const LABELS = { province: "direction", status: "status", code: "reason", row: "row", unit: "unit" };

export function filters(names, query, view) {
  const go = (name, value) => {
    const wanted = new URLSearchParams({ ...query, [name]: value });
    for (const [key, text] of [...wanted]) if (!text) wanted.delete(key);
    location.hash = `#/${view}?${wanted}`;
  };
  return h("form", { class: "filters", onsubmit: (event) => event.preventDefault() }, names.map((name) => {
    const change = (event) => go(name, event.target.value.trim());
    const choices = CHOICES[name];
    const input = choices
      ? h("select", { name, onchange: change }, h("option", { value: "" }, t("all")), choices.map(([value, label]) => h("option", { value, selected: query[name] === value }, t(label))))
      : h("input", { name, value: query[name] ?? "", inputmode: name === "row" ? "numeric" : null, onchange: change });
    return h("label", {}, t(LABELS[name]), input);
  }));
}
