// Small charts of our own; the same numbers stand beside each as text or as a table.
import { h } from "./dom.js";
import { clock, colon, comma, n, t } from "./text.js";

export const SHOWN = ["forward", "reject", "dead_letter"];
const MINUTES = 60, TICK_MINUTES = 15;
const LEFT = 11, RIGHT = 1; // per cent of the width: the axis' numbers, and a margin
const TOP = 12, HEIGHT = 110, BOTTOM = 24; // pixels
const hour = (minute) => clock(minute * 60).slice(0, 5);
const x = (index) => LEFT + ((100 - LEFT - RIGHT) * index) / MINUTES;

// The last hour by the minute, the current one last: [{ minute, forward, reject, dead_letter }, …].
export function minutes(flow, now) {
  const first = Math.floor(now / 60) - MINUTES + 1;
  const found = Array.from({ length: MINUTES }, (_, index) => ({ minute: first + index, forward: 0, reject: 0, dead_letter: 0 }));
  for (const bucket of flow.hour) {
    const at = found[Math.floor(bucket.start / 60) - first];
    if (at) for (const name of SHOWN) at[name] += bucket[name];
  }
  return found;
}

// Whole numbers from 0 to at least `most`, in steps of 1, 2 or 5 times a power of ten.
export function ticks(most) {
  const step = [1, 2, 5, 10].map((each) => each * 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, most) / 4)))).find((each) => each * 4 >= most);
  return Array.from({ length: Math.max(1, Math.ceil(most / step)) + 1 }, (_, index) => index * step);
}

const figures = (at) => `${hour(at.minute)}${colon()}${SHOWN.map((name) => `${t(name)} ${n(at[name])}`).join(comma())}`;

// What is rejected is hatched and what cannot be read is dotted, so that no colour has to be told from another.
function patterns(id) {
  const pattern = (name, ...marks) => h("pattern", { id: `${name}-${id}`, width: 5, height: 5, patternUnits: "userSpaceOnUse" }, h("rect", { width: 5, height: 5, class: "paper" }), marks);
  return h("defs", {}, pattern("reject", h("path", { d: "M-1 1 1 -1 M0 5 5 0 M4 6 6 4", class: "reject" })), pattern("dead_letter", h("path", { d: "M1 1h2v2h-2z", class: "dead_letter" })));
}
const look = (name, id) => (name === "forward" ? { class: "forward" } : { class: `${name} outlined`, fill: `url(#${name}-${id})` });

export const swatch = (name, id) => h("svg", { class: "swatch", "aria-hidden": "true" }, h("rect", { x: 1, y: 1, width: 14, height: 10, ...look(name, id) }));

export function hourChart(id, found, label) {
  const scale = ticks(Math.max(...found.map((at) => at.forward + at.reject + at.dead_letter)));
  const height = (count) => (HEIGHT * count) / scale.at(-1);
  const bars = found.flatMap((at, index) => {
    let y = TOP + HEIGHT;
    return SHOWN.filter((name) => at[name]).map((name) => {
      y -= height(at[name]);
      return h("rect", { x: `${x(index + 0.1)}%`, width: `${x(0.8) - x(0)}%`, y, height: height(at[name]), ...look(name, id) });
    });
  });
  const grid = scale.map((count) => [
    h("line", { x1: `${LEFT}%`, x2: `${100 - RIGHT}%`, y1: TOP + HEIGHT - height(count), y2: TOP + HEIGHT - height(count), class: count ? "grid-line" : "axis" }),
    h("text", { x: `${LEFT - 1}%`, y: TOP + HEIGHT - height(count) + 4, "text-anchor": "end" }, n(count)),
  ]);
  const times = found.flatMap((at, index) => (at.minute % TICK_MINUTES || index < 3 || index > MINUTES - 4 ? [] : [
    h("line", { x1: `${x(index)}%`, x2: `${x(index)}%`, y1: TOP + HEIGHT, y2: TOP + HEIGHT + 5, class: "axis" }),
    h("text", { x: `${x(index)}%`, y: TOP + HEIGHT + 18, "text-anchor": "middle" }, hour(at.minute)),
  ]));
  return h("svg", { class: "chart", height: TOP + HEIGHT + BOTTOM, role: "img", "aria-label": label }, patterns(id), grid, bars, times);
}

// The figures of the minute under the pointer; null beside the bars.
export function figuresAt(event, found) {
  const { left, width } = event.currentTarget.getBoundingClientRect();
  const index = Math.floor((((event.clientX - left) / width) * 100 - LEFT) / (x(1) - x(0)));
  return found[index] ? figures(found[index]) : null;
}

export function trend(days, label) {
  const counts = lastDays(14).map((day) => days[day] ?? 0);
  const most = Math.max(1, ...counts);
  return h("svg", { class: "trend", viewBox: "0 0 14 10", preserveAspectRatio: "none", role: "img", "aria-label": `${label}: ${counts.join(", ")}` },
    counts.map((count, index) => h("rect", { x: index, y: 10 - (10 * count) / most, width: 0.8, height: (10 * count) / most })));
}

export function lastDays(count) {
  const china = Date.now() + 8 * 3600_000;
  return Array.from({ length: count }, (_, index) => new Date(china - (count - 1 - index) * 86400_000).toISOString().slice(0, 10));
}
