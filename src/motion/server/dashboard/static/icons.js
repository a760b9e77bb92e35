import { s } from "./dom.js";

const page = (...kids) =>
  s("svg", { width: 16, height: 16, fill: "none", stroke: "currentColor", "stroke-width": 1.5, "aria-hidden": "true" }, ...kids);

export const icons = {
  graph: () => page(s("circle", { cx: 3.5, cy: 8, r: 2.2 }), s("circle", { cx: 12.5, cy: 3.5, r: 2.2 }), s("circle", { cx: 12.5, cy: 12.5, r: 2.2 }), s("path", { d: "M5.6 7 10.4 4.4M5.6 9l4.8 2.6" })),
  rows: () => page(s("rect", { x: 1.8, y: 2.5, width: 12.4, height: 11, rx: 1.5 }), s("path", { d: "M2 6.5h12M2 10h12M6 6.5v7" })),
  changes: () => page(s("path", { d: "M2 3.5h6M5 8h7M9 12.5h5", "stroke-width": 2.6, "stroke-linecap": "round" })),
  models: () => page(s("path", { d: "M8 1.8 14.2 8 8 14.2 1.8 8z" }), s("path", { d: "M8 5.2 10.8 8 8 10.8 5.2 8z" })),
  problems: () => page(s("path", { d: "M8 2 14.5 13.5h-13z" }), s("path", { d: "M8 6.5v3.2M8 11.6v.2", "stroke-linecap": "round" })),
  search: () => page(s("circle", { cx: 7, cy: 7, r: 4.6 }), s("path", { d: "m10.6 10.6 3.4 3.4" })),
  mark: () => s("svg", { width: 24, height: 24, viewBox: "0 0 24 24", "aria-hidden": "true", style: { flex: "none" } }, s("rect", { width: 24, height: 24, rx: 6, fill: "var(--ink)" }), s("path", { d: "M5 17V9l5 5 4-4 5 5", fill: "none", stroke: "var(--ground)", "stroke-width": 2, "stroke-linejoin": "round", "stroke-linecap": "round" }), s("circle", { cx: 14, cy: 10, r: 2, fill: "var(--ground)" })),
};

/** The shape of a trigger's state: no colour speaks alone. */
export function glyph(state) {
  switch (state) {
    case "failed":
      return s("g", {}, s("rect", { x: -5, y: -5, width: 10, height: 10, rx: 2, class: "glyph-fill bad" }), s("path", { d: "m-2-2 4 4m0-4-4 4", class: "glyph-in" }));
    case "running":
      return s("g", {}, s("circle", { r: 4.5, class: "glyph run" }), s("path", { d: "M0-4.5A4.5 4.5 0 0 1 0 4.5z", class: "glyph-fill run" }));
    case "done":
      return s("g", {}, s("circle", { r: 5, class: "glyph-fill ok" }), s("path", { d: "m-2.3 0 1.7 1.8 3-3.5", class: "glyph-in" }));
    case "blocked":
      return s("g", {}, s("rect", { x: -4, y: -4.5, width: 3, height: 9, class: "glyph-fill blocked" }), s("rect", { x: 1, y: -4.5, width: 3, height: 9, class: "glyph-fill blocked" }));
    case "stale":
      return s("circle", { r: 4.5, class: "glyph stale" });
    default:
      return s("circle", { r: 4.5, class: "glyph" });
  }
}

export const sign = (state) => s("svg", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true", style: { flex: "none" } }, glyph(state));

export const WORDS = { failed: "has failed rows", running: "running", done: "ran within 10 s", blocked: "waits for work upstream", stale: "has stale rows", idle: "idle" };

export function diamond(status, number, size = 9) {
  return s("g", {}, s("path", { d: `M0-${size}l${size} ${size}-${size} ${size}-${size}-${size}z`, class: `diamond ${status}` }), s("text", { y: 4, class: `diamond-number ${status}` }, String(number)));
}
