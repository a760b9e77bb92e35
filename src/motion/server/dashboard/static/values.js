// Values of keys, as they are shown: thumbnails by address, arrays as small plots, texts cut. Bytes and arrays are asked for
// only where they come into sight.
import { get, part, valueUrl } from "./api.js";
import { h, put, s } from "./dom.js";
import { cut, value } from "./format.js";

export const isHeavy = (key) => key.type === "bytes" || key.is_array;

const waiting = new WeakMap();
const inSight = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    inSight.unobserve(entry.target);
    waiting.get(entry.target)?.();
  }
}, { rootMargin: "80px" });

/** Do something when a place comes into sight. */
export function whenSeen(place, act) {
  waiting.set(place, act);
  inSight.observe(place);
  return place;
}

export function plot(numbers, width = 48, height = 20) {
  const step = Math.max(1, Math.floor(numbers.length / (width * 2)));
  const points = numbers.filter((_, i) => i % step === 0);
  const low = Math.min(...points), high = Math.max(...points), span = high - low || 1;
  const path = points.map((each, i) => `${((i / Math.max(1, points.length - 1)) * (width - 2) + 1).toFixed(1)} ${(height - 2 - ((each - low) / span) * (height - 4)).toFixed(1)}`).join("L");
  return s("svg", { class: "plot", width, height, role: "img", "aria-label": `${numbers.length} numbers from ${low.toPrecision(3)} to ${high.toPrecision(3)}` }, s("path", { d: `M${path}` }));
}

/** One value of a row, in a table's cell. */
export function cell(table, key, row, id, pages) {
  if (key.is_hidden) return h("span", { class: "secret", title: "not shown to your role" }, "•••");
  if (key.type === "bytes") return thumb(table, key, id, pages, "thumb");
  if (key.is_array) return array(table, key, id, pages);
  const text = value(row[key.name]);
  if (row[key.name] === null || row[key.name] === undefined) return h("span", { class: "unset", "aria-label": "not set" }, "–");
  return h("span", { title: text.length > 60 ? cut(text, 2000) : null }, cut(text));
}

export function thumb(table, key, id, pages, cls) {
  const place = h("span", { class: "note small thumb-place" }, h("span", { class: cls }));
  return whenSeen(place, () => {
    const image = h("img", { class: cls, alt: "", decoding: "async", src: valueUrl(table, id, pages, key.name), on: { error: () => put(place, "–") } });
    put(place, image);
  });
}

function array(table, key, id, pages) {
  const place = h("span", { class: "note small" }, key.dim ? `${key.dim} numbers` : "array");
  return whenSeen(place, async () => {
    try {
      const found = await get(`/v1/tables/${part(table)}/value`, { id, ...pages, key: key.name });
      if (Array.isArray(found) && found.length) put(place, plot(found));
      else put(place, found === null ? "–" : value(found));
    } catch {
      put(place, "–");
    }
  });
}

/** A value in full, with a way to see more of a long one. */
export function whole(table, key, row, id, pages) {
  if (key.is_hidden || isHeavy(key)) return key.type === "bytes" ? thumb(table, key, id, pages, "thumb large") : cell(table, key, row, id, pages);
  const text = value(row[key.name]);
  if (row[key.name] === null || row[key.name] === undefined) return h("span", { class: "unset" }, "not set");
  return text.length > 200 ? h("pre", {}, text) : h("span", { class: "value" }, text);
}
