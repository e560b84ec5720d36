// What codes mean: reasons and errors with what to do about them, fields, regions. Asked for before the first view is drawn.
import { ask } from "./ask.js";
import { code, h } from "./dom.js";
import { colon, inBrackets, isEnglish, said, t } from "./text.js";

let items = new Map(), fields = {}, regions = {};

export async function loadCodes() {
  try {
    const answer = await ask("codes");
    items = new Map(answer.items.map((each) => [each.code, each]));
    ({ fields, regions } = answer);
  } catch { /* a code stands for itself until the next time */ }
}

export const codes = () => [...items.values()];
export const meaning = (code) => (items.has(code) ? said(items.get(code)) : code);
export const whatToDo = (code) => h("p", { class: "advice" }, h("strong", {}, `${t("whatToDo")}${colon()}`), items.has(code) ? said(items.get(code).advice) : "");

// A field by its name, and as events write it.
export const nameOfField = (field) => (isEnglish() ? field : fields[field] ?? field);
export const fieldName = (field) => h("span", { title: field }, nameOfField(field));
export const fieldInFull = (field) => (nameOfField(field) === field ? code(field) : h("span", {}, nameOfField(field), " ", code(field, "soft")));

// A value as it was found; a place with its name.
export const valueOf = (field, value) => (field === "display.region_code" && regions[value] ? `${regions[value]}${inBrackets(value)}` : value);
