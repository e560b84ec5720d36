// Digests in short: their first eight digits tell them apart, and the whole can be copied.
import { h } from "./dom.js";
import { colon, t } from "./text.js";

const short = (digest) => digest.replace(/^(\w+:)?(\w{8}).*$/, "$1$2…");

function shortDigest(name, digest) {
  const shown = h("span", { class: "code", title: digest }, short(digest)), said = h("span", { role: "status", class: "soft" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(digest);
      said.textContent = t("copied");
    } catch { // without a clipboard (a page that is not from this machine or by TLS) it can be selected
      shown.textContent = digest;
    }
  };
  return h("div", {}, h("dt", {}, name), h("dd", {}, shown, h("button", { type: "button", class: "small", "aria-label": `${t("copy")}${colon()}${name}`, onclick: copy }, t("copy")), said));
}

// The list's digest is that of ledger and log, the edition's that of records.
export const digests = (list) => h("dl", { class: "digests" }, shortDigest(t("listDigest"), list.digest), shortDigest(t("editionDigest"), list.edition_digest));
