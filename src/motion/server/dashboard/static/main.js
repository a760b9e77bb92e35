// The frame around the pages: the rail, the bar on top, addresses, keys, and what comes live.
import { get, part, post } from "./api.js";
import { askToken, find, showKeys } from "./dialogs.js";
import { h, link, put, speak } from "./dom.js";
import { count } from "./format.js";
import { icons } from "./icons.js";
import { Live } from "./live.js";
import { needs, sentence } from "./say.js";
import * as changes from "./changes.js";
import * as graph from "./graph.js";
import * as models from "./models.js";
import * as problems from "./problems.js";
import * as rows from "./rows.js";

const PAGES = [
  { at: /^\/$/, name: "Graph", href: "/", key: "g", page: graph, icon: icons.graph },
  { at: /^\/rows(?:\/([^/]+))?$/, name: "Rows", href: "/rows", key: "r", page: rows, icon: icons.rows },
  { at: /^\/changes(?:\/([^/]+))?$/, name: "Changes", href: "/changes", key: "c", page: changes, icon: icons.changes },
  { at: /^\/models(?:\/([^/]+))?$/, name: "Models", href: "/models", key: "m", page: models, icon: icons.models },
  { at: /^\/problems$/, name: "Problems", href: "/problems", key: "p", page: problems, icon: icons.problems },
];

const main = document.getElementById("main");
const live = new Live();
const state = { session: null, pipeline: null, tables: null, page: null, entry: null, keysOn: stored("motion.keys") !== "off" };

function stored(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}

function store(name, value) {
  try { localStorage.setItem(name, value); } catch { /* storage is off */ }
}

const ROLES = { read: 1, write: 2, admin: 3 };

/** What every page gets: the store's make-up, news of it, and ways to go on. */
const app = {
  live,
  get pipeline() { return state.pipeline; },
  get tables() { return state.tables; },
  may: (role) => ROLES[state.session] >= ROLES[role],
  go,
  /** Keep something in the address, so that it can be sent; without a new entry to go back to. */
  keep(params) {
    const url = new URL(location.href);
    for (const [name, value] of Object.entries(params)) {
      if (value === null || value === undefined || value === "") url.searchParams.delete(name);
      else url.searchParams.set(name, value);
    }
    history.replaceState(null, "", url);
  },
  params: () => new URLSearchParams(location.search),
};

// -- addresses --

function go(href) {
  if (href !== location.pathname + location.search) history.pushState(null, "", href);
  open();
}

async function open({ focus = true } = {}) {
  const path = location.pathname.replace(/(.)\/$/, "$1");
  const entry = PAGES.find((each) => each.at.test(path)) ?? PAGES[0];
  const named = path.match(entry.at)?.[1];
  state.page?.close?.();
  state.entry = entry;
  rail();
  document.title = `${entry.name}, ${state.pipeline.name}`;
  const place = h("div", { class: "page" });
  put(main, place);
  if (focus) main.focus({ preventScroll: true });
  main.scrollTop = 0;
  const mine = await guarded(place, () => entry.page.open(place, app, named === undefined ? null : decodeURIComponent(named)));
  if (place.isConnected) {
    state.page = mine ?? {};
    if (live.now) state.page.news?.(live.now);
  } else mine?.close?.();
}

/** Do what fills a place; where it fails, say so there, with a way to try again, and leave the rest of the page alone. */
async function guarded(place, work) {
  try {
    return await work();
  } catch (error) {
    if (error.name === "AbortError") return null;
    put(place, h("div", { class: "blank", role: "alert" }, h("p", { class: "failed-note" }, error.message),
      h("button", { class: "button", type: "button", on: { click: () => open() } }, "Try again")));
    return null;
  }
}

document.addEventListener("click", (event) => {
  const anchor = event.target.closest?.("a[href]");
  if (!anchor || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || anchor.target) return;
  const href = anchor.getAttribute("href");
  if (!href.startsWith("/") || href.startsWith("/v1/")) return;
  event.preventDefault();
  go(href);
});
addEventListener("popstate", () => open());

// -- the rail and the bar --

function rail() {
  const { pipeline } = state, now = live.now;
  const failed = now ? needs(now).failed : 0;
  const candidates = now ? Object.values(now.models).filter((each) => each.candidate !== null).length : 0;
  const badges = {
    Problems: failed ? h("span", { class: "count bad", "aria-label": `${count(failed)} failed` }, count(failed)) : null,
    Models: candidates ? h("span", { class: "count version", "aria-label": `${candidates} candidate` }, candidates) : null,
  };
  const here = pipeline.triggers.filter((each) => each.has_code).length;
  put(document.getElementById("rail"),
    h("div", { class: "brand" }, icons.mark(), h("span", {}, pipeline.name, h("small", {}, `${plural(pipeline.triggers.length, "trigger")}, ${plural(pipeline.components.length, "model")}`))),
    PAGES.map((each) => link(each.href, { "data-id": each.name, "aria-current": each === state.entry ? "page" : null }, each.icon(), each.name, badges[each.name])),
    h("div", { class: "foot" }, here === pipeline.triggers.length ? "This process has the code" : `This process has the code of ${here} of ${pipeline.triggers.length} triggers`,
      now ? [h("br"), `change ${count(now.status.last_change)}`] : null));
}

const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

function bar() {
  const sign = h("span", { class: "live", id: "live" }, h("i"), h("span", {}, "connecting"));
  put(document.getElementById("top"),
    h("button", { class: "jump", type: "button", on: { click: jump } }, icons.search(), h("span", {}, "Go to a table, trigger, row or change"), h("kbd", {}, "/")),
    h("span", { class: "grow" }), sign,
    h("button", { class: "button quiet little", type: "button", on: { click: theme } }, "Theme"),
    h("button", { class: "button quiet little hide-narrow", type: "button", on: { click: keys } }, "Keys ", h("kbd", {}, "?")));
}

function signOfLife() {
  const place = document.getElementById("live"), age = live.age;
  if (!place) return;
  const isLate = live.isLate;
  place.classList.toggle("is-late", isLate);
  document.body.classList.toggle("is-late", isLate);
  place.lastChild.textContent = age === null ? "connecting" : isLate ? `no news for ${Math.round(age)} s, trying again` : age < 2 ? "live" : `live, ${Math.round(age)} s ago`;
  if (isLate) speak("No news from the server; trying again.");
}

// -- keys --

const CHORDS = [
  ["Everywhere", [["/", "go to anything"], ["g", "graph"], ["r", "rows"], ["c", "changes"], ["m", "models"], ["p", "problems"], ["j k", "move"], ["Enter", "open"], ["Esc", "back"], ["t", "theme"], ["?", "these keys"]]],
];

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
  if (typing || event.metaKey || event.ctrlKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "?") { event.preventDefault(); keys(); return; }
  if (!state.keysOn) return;
  if (state.page?.key?.(event)) { event.preventDefault(); return; }
  const page = PAGES.find((each) => each.key === event.key);
  if (page) { event.preventDefault(); go(page.href); }
  else if (event.key === "/") { event.preventDefault(); jump(); }
  else if (event.key === "t") theme();
  else if (event.key === "Escape" && history.length > 1 && location.pathname.split("/").length > 2) history.back();
});

function keys() {
  const own = state.entry.page.KEYS?.length ? [[state.entry.name, state.entry.page.KEYS]] : [];
  showKeys([...CHORDS, ...own], state.keysOn, () => {
    state.keysOn = !state.keysOn;
    store("motion.keys", state.keysOn ? "on" : "off");
  });
}

function theme() {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  store("motion.theme", root.dataset.theme);
}

function jump() {
  const { pipeline } = state;
  const known = [
    ...PAGES.map((each) => ({ name: each.name, what: "page", href: each.href })),
    ...pipeline.tables.map((each) => ({ name: each.name, what: "table", href: `/rows/${part(each.name)}` })),
    ...pipeline.triggers.map((each) => ({ name: each.name, what: "trigger", href: `/?node=${part(`trigger ${each.name}`)}` })),
    ...pipeline.components.map((each) => ({ name: each, what: "model", href: `/models/${part(each)}` })),
    ...pipeline.tables.flatMap((table) => table.keys.map((key) => ({ name: `${table.name}.${key.name}`, what: "key", href: `/?node=${part(`key ${table.name}.${key.name}`)}` }))),
  ];
  find((words) => {
    const low = words.toLowerCase();
    const found = known.filter((each) => each.name.toLowerCase().includes(low));
    if (/^\d+$/.test(words)) found.unshift({ name: `change ${words}`, what: "change", href: `/changes/${words}` });
    const named = words.match(/^(\w+)\s+(\S+)$/);
    if (named && pipeline.tables.some((each) => each.name === named[1])) {
      found.unshift({ name: words, what: "row", href: `/rows/${part(named[1])}?row=${part(JSON.stringify({ id: named[2], pages: {} }))}` });
    }
    return found;
  }, go);
}

// -- the beginning --

async function begin() {
  const { role } = await get("/v1/session");
  if (role === null) {
    askToken(async (token) => {
      await post("/v1/session", { token });
      await begin();
    });
    return;
  }
  state.session = role;
  const [pipeline, { edges }, tables] = await Promise.all([get("/v1/pipeline"), get("/v1/pipeline/edges"), get("/v1/tables")]);
  state.pipeline = { ...pipeline, edges };
  state.tables = tables.tables;
  bar();
  let said = "";
  live.follow((now) => {
    signOfLife();
    if (!now || live.age > 1.5) return;
    rail();
    state.page?.news?.(now);
    const title = sentence(now).title;
    if (said && title !== said) speak(title);
    said = title;
  });
  live.start();
  await open({ focus: false });
}

begin().catch((error) =>
  put(main, h("div", { class: "blank", role: "alert" }, h("p", { class: "failed-note" }, error.message),
    h("button", { class: "button", type: "button", on: { click: () => location.reload() } }, "Try again"))));
