// Marking cases, one or many: who, with which note, by the operator's token. What was not marked is named with the reason.
import { send } from "./ask.js";
import { h, show } from "./dom.js";
import { inWords } from "./errors.js";
import { colon, inBrackets, n, said, t } from "./text.js";

const MOST_AT_ONCE = 200; // as the server marks
const NEXT = { pending: "fed_back", fed_back: "verified" };

// The case's next step. `marked` is called once it is done.
export function markForm(item, readOnly, marked) {
  const next = NEXT[item.status.code];
  if (!next) return null;
  if (readOnly) return h("p", { class: "soft" }, t("readOnly"));
  const submit = (form) => send("cases/mark", form.token, { cases: [item.id], status: next, by: form.by, note: form.note || null }).then((done) => {
    form.status = next;
    if (done.refused.length) throw new Error(whyNot(done.refused[0]));
    marked();
    return h("span", { class: done.already.length ? "soft" : "good" }, done.already.length ? alreadyMarked(1, form) : t("done"));
  });
  return [h("h3", {}, t("mark").replace("{status}", t(next))), remarks("mark", submit)];
}

// `selected`: id → case; `marked` and `drawn` are called once cases have been marked, and when the selection is given up.
export function bulkForm(selected, marked, drawn, selectAll) {
  const count = h("h3"), result = h("div", { class: "result", role: "status" });
  const submit = async (form) => {
    const ids = [...selected.keys()], done = [], already = [], refused = [], titles = new Map(selected);
    for (let at = 0; at < ids.length; at += MOST_AT_ONCE) {
      const answer = await send("cases/mark", form.token, { cases: ids.slice(at, at + MOST_AT_ONCE), status: form.status, by: form.by, note: form.note || null });
      done.push(...answer.marked);
      already.push(...answer.already);
      refused.push(...answer.refused);
      for (const id of [...answer.marked, ...answer.already]) selected.delete(id);
    }
    const summary = t(refused.length ? "markedSome" : "markedAll").replace("{marked}", n(done.length)).replace("{refused}", n(refused.length)).replace("{status}", t(form.status));
    show(result, done.length || refused.length ? h("p", { class: refused.length ? "warn" : "good" }, summary) : null, already.length ? h("p", { class: "soft" }, alreadyMarked(already.length, form)) : null, refused.length ? h("ul", {}, refused.map((each) => h("li", {}, `${titleOf(titles.get(each.id)) ?? each.id}${colon()}${whyNot(each)}`))) : null);
    marked();
    return null;
  };
  const choice = h("label", {}, t("markAs"), h("select", { name: "status" }, Object.values(NEXT).map((status) => h("option", { value: status }, t(status)))));
  const others = [h("button", { type: "button", onclick: selectAll }, t("selectAll")), h("button", { type: "button", onclick: () => { selected.clear(); drawn(); } }, t("clearSelection"))];
  const panel = h("section", { class: "bulk", hidden: true, "aria-labelledby": "bulk-title" }, count, remarks("bulk", submit, choice, others));
  count.id = "bulk-title";
  const draw = () => {
    panel.hidden = !selected.size;
    count.textContent = t("selected").replace("{count}", n(selected.size));
  };
  return { element: h("div", {}, panel, result), draw, forget: () => show(result) };
}

const alreadyMarked = (count, form) => t(form.note?.trim() ? "alreadyNoted" : "alreadyMarked").replace("{count}", n(count)).replace("{status}", t(form.status));
const titleOf = (item) => item && `${said(item.message)}${inBrackets(item.value ?? item.field)}`;
const whyNot = (refused) => inWords(refused.code, refused.error);

function remarks(id, submit, choice = null, others = null) {
  const answer = h("p", { role: "status" }), button = h("button", { class: "main" }, t("send"));
  const onsubmit = async (event) => {
    event.preventDefault();
    button.disabled = true; // a second click would mark again
    show(answer, t("sending"));
    try {
      show(answer, await submit(Object.fromEntries(new FormData(event.target))));
      event.target.elements.note.value = ""; // it was of those cases, and is not said again of the next
    } catch (error) {
      show(answer, h("span", { class: "bad" }, `${t("error")}${colon()}${error.message}`));
    }
    button.disabled = false;
  };
  return h("form", { id, onsubmit }, choice,
    h("label", {}, t("by"), h("input", { name: "by", required: true, maxlength: 100, autocomplete: "off" })),
    h("label", {}, t("note"), h("input", { name: "note", maxlength: 500, autocomplete: "off" })),
    h("label", {}, t("token"), h("input", { name: "token", type: "password", required: true, autocomplete: "off" })),
    h("p", { class: "buttons" }, button, others), answer);
}
