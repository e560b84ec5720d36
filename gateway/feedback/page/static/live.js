// What comes by itself can be held back, is asked for at most every few seconds, and is spoken of at most every ten.
import { h } from "./dom.js";
import { n, t } from "./text.js";

const SPOKEN_EVERY_MS = 10_000;

// `resumed` is called when it goes on. What was held back is counted by `hold`; `more` says that there were others.
export function pause(resumed, heldBack) {
  let paused = false, count = 0, others = false;
  const note = h("span", { class: "soft" });
  const button = h("button", { type: "button", class: "pause", "aria-pressed": "false", onclick: () => set(!paused) }, t("pause"));
  const say = () => { note.textContent = paused ? `${t("paused")}${heldBack ? ` ${t(heldBack).replace("{count}", `${n(count)}${others ? "+" : ""}`)}` : ""}` : ""; };
  const set = (yes) => {
    [paused, count, others] = [yes, 0, false];
    button.setAttribute("aria-pressed", String(paused));
    say();
    if (!paused) resumed();
  };
  const hold = (added, more = false) => { count += added; others ||= more; say(); };
  return { control: h("p", { class: "live" }, button, " ", note), isPaused: () => paused, hold };
}

// Calls `what` at once, but not again within `ms`: then once at their end.
export function atMostEvery(ms, what) {
  let last = -Infinity, waiting = null;
  const run = () => { waiting = null; last = performance.now(); what(); };
  return () => {
    const left = last + ms - performance.now();
    if (left <= 0) run();
    else waiting ??= setTimeout(run, left);
  };
}

let unspoken = 0;
const speak = atMostEvery(SPOKEN_EVERY_MS, () => {
  document.getElementById("news").textContent = t("fresh").replace("{count}", n(unspoken));
  unspoken = 0;
});
export function announce(count) {
  unspoken += count;
  speak();
}
