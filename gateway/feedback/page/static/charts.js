// Small charts; the numbers stand beside each as text.
import { h } from "./dom.js";

export function hourChart(flow, overview, label) {
  const last = Math.floor(overview.now / overview.bucket_s) * overview.bucket_s;
  const width = overview.buckets;
  const most = Math.max(1, ...flow.hour.map((bucket) => bucket.forward + bucket.reject + bucket.dead_letter));
  const bars = flow.hour.flatMap((bucket) => {
    const x = width - 1 - (last - bucket.start) / overview.bucket_s;
    let y = 100;
    return ["forward", "reject", "dead_letter"].map((name) => {
      const height = (100 * bucket[name]) / most;
      y -= height;
      return h("rect", { x, y, width: 0.9, height, class: name === "dead_letter" ? "other" : name });
    });
  });
  return h("svg", { class: "chart", viewBox: `0 0 ${width} 100`, preserveAspectRatio: "none", role: "img", "aria-label": label }, h("title", {}, label), bars);
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
