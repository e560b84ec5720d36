// Which view is shown, and what comes live.
import { address, isSame } from "./address.js";
import { closeDialog, steppedIn } from "./dialog.js";
import { h, show } from "./dom.js";
import { at, isEnglish, switchLanguage, t } from "./text.js";
import { loadCodes } from "./codes.js";
import { cases } from "./cases.js";
import { effect } from "./effect.js";
import { troubles } from "./glance.js";
import { list } from "./list.js";
import { overview } from "./overview.js";
import { rejections } from "./rejections.js";
import { trace } from "./trace.js";

const VIEWS = { overview, rejections, cases, list, effect, trace };
// The server writes every 15 s at least. A connection over which nothing comes is none, though the browser may hold it open for hours.
const SILENT_MS = 45_000;
const main = document.getElementById("main");
const state = { overview: null, link: "connecting", asOf: null };
let view = {}, shown = null;

function where() {
  const { name, ...rest } = address();
  return { name: name in VIEWS ? name : "overview", ...rest };
}

function draw(move) {
  shown = where();
  const { name, query, open } = shown;
  document.documentElement.lang = isEnglish() ? "en" : "zh-CN";
  document.title = `${t(name)} · ${t("title")}`;
  document.getElementById("title").textContent = t("title");
  document.getElementById("skip").textContent = t("skip");
  document.getElementById("language").textContent = t("other");
  document.getElementById("guide").textContent = t("guide");
  const nav = document.getElementById("nav");
  nav.setAttribute("aria-label", t("nav"));
  show(nav, Object.keys(VIEWS).map((each) => h("a", { href: `#/${each}`, "aria-current": each === name ? "page" : null }, t(each))));
  connection();
  view = VIEWS[name](main, state, query, open);
  if (move) { main.focus({ preventScroll: true }); scrollTo(0, 0); }
}

// Where only what the dialog shows is another, the view stays as it is.
function turn() {
  const now = where(), stays = now.name === shown.name && isSame(now.query, shown.query);
  steppedIn(stays && now.open && !shown.open);
  if (stays) {
    shown.open = now.open;
    view.open?.(now.open);
  } else {
    closeDialog();
    draw(true);
  }
}

function connection() {
  const badge = document.getElementById("connection");
  const link = state.link === "connected" && state.overview && !state.overview.connected ? "brokerDown" : state.link;
  const kind = { connected: "good", connecting: "soft" }[link] ?? "bad";
  if (badge.textContent !== t(link)) badge.textContent = t(link);
  badge.className = `badge ${kind}`;
  // A page that was opened meanwhile may have seen no data of which it knows the time.
  const words = () => state.asOf ? t(`${link}Alarm`).replace("{time}", at(new Date(state.asOf * 1000).toISOString())) : t(`${link}Unseen`);
  if (kind === "bad") alarm([words()]);
  else alarm(kind === "good" && where().name !== "overview" ? notes(state.overview) : []);
}

// What is shown is old: said in so many words, with the time of the last data, and read out once.
function alarm(texts) {
  const place = document.getElementById("alarm");
  if (place.textContent !== texts.join("")) show(place, texts.map((text) => h("p", { class: "card alert bad" }, text)));
}

// The overview has cards for these; whoever looks at another view must not take it for up to date either.
const notes = (data) => (data ? [...troubles(data), data.counted_again ? t("countedAgain") : null].filter(Boolean) : []);

function listen() {
  const events = new EventSource("/api/events");
  const lost = () => {
    state.link = "disconnected";
    connection();
    if (state.overview) view.tick?.();
  };
  const silent = () => { events.close(); lost(); listen(); };
  let watch = setTimeout(silent, SILENT_MS);
  events.addEventListener("open", () => {
    const again = state.link === "disconnected";
    state.link = "connected";
    connection();
    if (again) loadCodes().then(() => view.again?.()); // what came meanwhile was not pushed to this page
  });
  events.addEventListener("error", () => {
    lost();
    if (events.readyState !== EventSource.CLOSED) return;
    clearTimeout(watch);
    setTimeout(listen, 3000);
  });
  events.addEventListener("overview", (event) => {
    state.overview = JSON.parse(event.data);
    clearTimeout(watch);
    watch = setTimeout(silent, SILENT_MS);
    state.asOf = state.overview.connected ? state.overview.now : state.overview.as_of ?? state.asOf;
    connection();
    view.tick?.();
  });
  events.addEventListener("rejections", (event) => {
    view.rejections?.(JSON.parse(event.data));
  });
}

document.getElementById("language").addEventListener("click", () => { switchLanguage(); draw(false); });
window.addEventListener("hashchange", turn);
document.getElementById("skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
loadCodes().then(() => { draw(false); listen(); });
