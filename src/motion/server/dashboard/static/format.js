// Numbers, times and values as people read them.
const COUNT = new Intl.NumberFormat("en-US");

export const count = (n) => COUNT.format(n);

/** About how many: three figures are enough. */
export function about([rows, isExact]) {
  if (isExact) return `${count(rows)} ${rows === 1 ? "row" : "rows"}`;
  const size = 10 ** Math.max(0, Math.floor(Math.log10(rows)) - 2);
  return `about ${count(Math.round(rows / size) * size)} rows`;
}

export const rows = (n) => `${count(n)} ${n === 1 ? "row" : "rows"}`;

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1e-4) return `${Math.max(1, Math.round(value * 1e6))} µs`;
  if (value < 0.01) return `${(value * 1e3).toFixed(1)} ms`;
  if (value < 1) return `${Math.round(value * 1e3)} ms`;
  if (value < 10) return `${value.toFixed(2)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  return `${Math.round(value / 3600)} h`;
}

export function rate(value) {
  if (!value) return "0/s";
  return value < 10 ? `${value.toFixed(1)}/s` : `${count(Math.round(value))}/s`;
}

export const figure = (value) =>
  typeof value === "number" ? (Number.isInteger(value) ? count(value) : value.toPrecision(3)) : String(value ?? "–");

const two = (n) => String(n).padStart(2, "0");

export function clock(iso, withTenths = true) {
  const at = new Date(iso);
  const tenths = withTenths ? `.${Math.floor(at.getMilliseconds() / 100)}` : "";
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}${tenths}`;
}

/** "2 min ago" below an hour, else the time, with the day where it is another. */
export function when(iso, now = Date.now()) {
  if (!iso) return "–";
  const at = new Date(iso);
  const passed = (now - at.getTime()) / 1000;
  if (passed < 60) return passed < 5 ? "just now" : `${Math.round(passed)} s ago`;
  if (passed < 3600) return `${Math.round(passed / 60)} min ago`;
  const isToday = at.toDateString() === new Date(now).toDateString();
  const day = isToday ? "" : `${at.toLocaleDateString(undefined, { weekday: "short", day: "numeric", month: "short" })} `;
  return `${day}${two(at.getHours())}:${two(at.getMinutes())}`;
}

export const cut = (text, length = 120) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

/** A long name, cut in the middle. */
export function middle(text, length) {
  if (text.length <= length) return text;
  const left = Math.ceil((length - 1) / 2);
  return `${text.slice(0, left)}…${text.slice(text.length - (length - 1 - left))}`;
}

/** A value of a key as text. */
export function value(given) {
  if (given === null || given === undefined) return "";
  if (typeof given === "string") return given;
  if (typeof given === "number" || typeof given === "boolean") return String(given);
  if (given && given.dtype && given.shape) return `array ${given.dtype} ${given.shape.join(" × ")}`;
  if (Array.isArray(given) && given.length > 8 && given.every((each) => typeof each === "number")) {
    return `${given.length} numbers`;
  }
  return JSON.stringify(given);
}

/** An id and the page keys that are not 0, as one names a row. */
export function rowName(id, pages = {}) {
  const shown = Object.entries(pages).filter(([, number]) => number);
  return [String(id), ...shown.map(([page, number]) => `${page.replace(/_?page$/, "") || "page"} ${number}`)].join(", ");
}

/** `id=7 img_page=2`, as the store names rows of dead letters, taken apart. */
export function parseRow(text) {
  const pages = {};
  let rest = text;
  for (let found; (found = rest.match(/ (\w+)=(-?\d+)$/)); ) {
    pages[found[1]] = Number(found[2]);
    rest = rest.slice(0, found.index);
  }
  const id = rest.match(/^id=([\s\S]*)$/);
  return id ? { id: id[1], pages } : null;
}
