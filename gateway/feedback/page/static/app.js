// Which view is shown, and what comes live.
import { closeDialog, h, show } from "./dom.js";
import { isEnglish, n, switchLanguage, t } from "./text.js";
import { cases } from "./cases.js";
import { effect } from "./effect.js";
import { list } from "./list.js";
import { overview } from "./overview.js";
import { rejections } from "./rejections.js";
import { trace } from "./trace.js";

const VIEWS = { overview, rejections, cases, list, effect, trace };
const main = document.getElementById("main");
const state = { overview: null, link: "connecting" };
let view = {};

function where() {
  const [name, query] = location.hash.replace(/^#\/?/, "").split("?");
  return [name in VIEWS ? name : "overview", Object.fromEntries(new URLSearchParams(query ?? ""))];
}

function draw(move) {
  const [name, query] = where();
  document.documentElement.lang = isEnglish() ? "en" : "zh-CN";
  document.title = `${t(name)} · ${t("title")}`;
  document.getElementById("title").textContent = t("title");
  document.getElementById("skip").textContent = t("skip");
  document.getElementById("language").textContent = t("other");
  const nav = document.getElementById("nav");
  nav.setAttribute("aria-label", t("nav"));
  show(nav, Object.keys(VIEWS).map((each) => h("a", { href: `#/${each}`, "aria-current": each === name ? "page" : null }, t(each))));
  connection();
  view = VIEWS[name](main, state, query);
  if (move) { main.focus({ preventScroll: true }); scrollTo(0, 0); }
}

function connection() {
  const badge = document.getElementById("connection");
  const link = state.link === "connected" && state.overview && !state.overview.connected ? "brokerAway" : state.link;
  const kind = { connected: "good", connecting: "soft" }[link] ?? "bad";
  if (badge.textContent !== t(link)) badge.textContent = t(link);
  badge.className = `badge ${kind}`;
}

function listen() {
  const events = new EventSource("/api/events");
  events.addEventListener("open", () => {
    const again = state.link === "disconnected";
    state.link = "connected";
    connection();
    if (again) view.again?.(); // what came meanwhile was not pushed to this page
  });
  events.addEventListener("error", () => {
    state.link = "disconnected";
    connection();
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  });
  events.addEventListener("overview", (event) => {
    state.overview = JSON.parse(event.data);
    connection();
    view.tick?.();
  });
  events.addEventListener("rejections", (event) => {
    const news = JSON.parse(event.data);
    const leftOut = news.left_out ? `，${n(news.left_out)} ${t("leftOut")}` : "";
    document.getElementById("news").textContent = `${n(news.items.length)} ${t("fresh")}${leftOut}`;
    view.rejections?.(news);
  });
}

document.getElementById("language").addEventListener("click", () => { switchLanguage(); draw(false); });
window.addEventListener("hashchange", () => { if (document.getElementById("dialog").open) closeDialog(); draw(true); });
document.getElementById("skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
draw(false);
listen();
