// The newest rejections, as they come. The view says what is held here and what is not; its rows can be held back.
import { address, href } from "./address.js";
import { ask } from "./ask.js";
import { closeDialog } from "./dialog.js";
import { code, failure, h, show } from "./dom.js";
import { direction, explanation, rowCell } from "./explanation.js";
import { filters, offer } from "./filters.js";
import { announce, atMostEvery, pause } from "./live.js";
import { liveTable } from "./rows.js";
import { at, n, ref, said, t } from "./text.js";

const PAGE = 50;
const EVERY_MS = 5000;

export function rejections(place, state, query, open) {
  let items = [], total = 0, held = null, nowhere = false, units = [], asked = 0, fresh = new Set();
  const list = h("div"), table = liveTable(true), found = h("p", { class: "soft" }), more = h("p"), note = h("p", { class: "soft" });
  const controls = filters(["province", "code", "row", "unit"], query, "rejections", () => { items = []; load(); });
  const live = pause(() => load(), "heldBack");
  show(place, h("section", { class: "card" }, h("h2", {}, t("rejections")), controls, h("p", { class: "soft" }, t("byId"), h("a", { href: href("trace") }, t("trace"))), live.control, note, list));
  show(list, h("p", { class: "empty" }, t("loading")));

  const draw = () => {
    if (held) note.textContent = t(held.dropped ? "heldSome" : "heldAll").replace("{since}", at(held.since)).replaceAll("{count}", n(held.count)).replace("{rejected}", n(held.count - held.dead_letters)).replace("{letters}", n(held.dead_letters)).replace("{most}", n(held.most)).replace("{dropped}", n(held.dropped));
    if (!items.length) return show(list, h("p", { class: "empty" }, t(!held?.count ? "noneHeld" : nowhere ? "noSuchUnit" : "noRejections").replace("{since}", at(held?.since))));
    total = Math.max(total, items.length);
    found.textContent = t("of").replace("{total}", n(total)).replace("{shown}", n(items.length));
    table.fill(t("rejections"), [t("received"), t("direction"), t("event"), t("reason"), t("row"), t("unit")], items.map(rowOf));
    show(more, items.length < total ? h("button", { type: "button", "data-key": "more", onclick: older }, t("more")) : null);
    if (!table.element.isConnected) show(list, found, table.element, more);
  };
  const rowOf = (item) => ({ key: item.place, fresh: fresh.has(item.place), cells: [
    h("time", { datetime: item.received }, at(item.received)), direction(item), code(item.id ?? item.origin),
    h("span", {}, h("a", { class: "explain", "data-key": item.place, href: href("rejections", query, item.place) }, said(item.reasons[0].message)), item.codes.length > 1 ? ` +${item.codes.length - 1}` : "", h("br"), code(item.codes[0], "soft")),
    rowCell(item, item.nearest_row?.certificate), item.units.join(t("listComma")),
  ] });
  const merge = (first, then) => {
    const known = new Set(first.map((item) => item.place));
    items = [...first, ...then.filter((item) => !known.has(item.place))].slice(0, held?.most);
  };
  const load = async () => {
    const mine = ++asked; // of two answers under way the later question's is drawn
    try {
      const answer = await ask("rejections", { ...query, limit: PAGE });
      if (mine !== asked) return;
      offer(controls, { unit: answer.units });
      ({ total, held, units, no_such_unit: nowhere } = answer);
      const known = new Set(answer.items.map((item) => item.place));
      merge(answer.items, items.some((item) => known.has(item.place)) ? items : []); // no hole in the list
      draw();
    } catch (error) {
      if (mine === asked) show(list, failure(error));
    }
  };
  const older = async () => {
    try {
      merge(items, (await ask("rejections", { ...query, limit: PAGE, before: items.at(-1).seq })).items);
      draw();
    } catch (error) {
      show(more, failure(error));
    }
  };
  const explain = async (wanted) => {
    if (!wanted) return closeDialog();
    try {
      const known = items.find((item) => item.place === wanted) ?? (await ask("rejections", { place: wanted })).items[0];
      if (address().open === wanted) explanation(known);
    } catch (error) {
      if (address().open === wanted) explanation(null, error);
    }
  };
  load();
  if (open) explain(open);
  const matches = (item) => (!query.province || item.province === query.province) && (!query.row || [ref(item), String(item.row)].includes(query.row)) && (!query.code || item.codes.includes(query.code)) && (!query.unit || item.units.some((unit) => (units.includes(query.unit) ? unit === query.unit : unit.includes(query.unit))));
  const refresh = atMostEvery(EVERY_MS, () => { if (!live.isPaused() && list.isConnected) load(); });
  return {
    open: explain,
    again: () => { items = []; load(); }, // a worker that was started again numbers them from the beginning
    rejections: (news) => {
      const known = new Set(items.map((item) => item.place));
      const added = news.items.filter((item) => matches(item) && !known.has(item.place));
      if (live.isPaused()) return live.hold(added.length, news.left_out > 0);
      refresh(); // how many there are in all; and of a burst a part is pushed: those that match may be in the rest
      if (!added.length) return;
      announce(added.length);
      fresh = new Set(added.map((item) => item.place));
      total += added.length;
      merge(added, items);
      draw();
    },
  };
}
