// Rows: what is in a table?
import { asking, get, part, post } from "./api.js";
import { h, link, put } from "./dom.js";
import { about, cut, rowName, value } from "./format.js";
import { sign } from "./icons.js";
import { origin } from "./origin.js";
import { heading } from "./say.js";
import { cell, isHeavy, whole } from "./values.js";

export const KEYS = [["j k", "row up and down"], ["Enter", "open the row"]];

const AT_ONCE = 100, SQL_ROWS = 1000, SQL_SECONDS = 2;

export async function open(place, app, named) {
  const names = app.pipeline.tables.map((each) => each.name);
  if (!names.length) {
    put(place, heading("No tables yet.", "A schema makes one."), h("div", { class: "blank" }, h("pre", {}, "@dataclass\nclass Product:\n    id: int\n    title: str")));
    return {};
  }
  const name = named ?? names[0];
  const table = app.tables[name];
  const view = { app, name, table, place, rows: [], next: null, now: app.live.now, drawnAt: null, query: app.params().get("where") ?? "", asSql: app.params().get("sql") };
  view.top = h("div", {});
  view.side = h("aside", { class: "side", "aria-label": "Row" });
  view.list = h("div", { class: "body" });
  put(place, view.top, h("div", { class: "split wide-side" }, view.list, view.side));
  title(view);
  if (!table) {
    put(view.list, h("p", { class: "note" }, `This process was opened without the schema of ${name}; `, h("code", {}, `motion sql`), " reads it."));
    return {};
  }
  view.body = h("div", {});
  put(view.list, filter(view), view.body);
  put(view.side, h("h2", {}, "Choose a row"), h("p", { class: "note" }, "Every key, and where its value came from."));
  await (view.asSql ? runSql(view, view.asSql) : read(view));
  const chosen = app.params().get("row");
  if (chosen) {
    try { await show(view, JSON.parse(chosen)); } catch (error) { put(view.side, h("p", { class: "failed-note" }, error.message)); }
  }
  return { news: (now) => news(view, now), key: (event) => key(view, event) };
}

function title(view) {
  const counted = view.now?.tables[view.name];
  put(view.top, heading(view.name, counted ? [h("span", { class: "fresh" }, about(counted)), ", pages among them."] : "Its rows, by primary key.", view.newer ? h("button", { class: "button", type: "button", "data-id": "newer", on: { click: () => { view.newer = false; title(view); read(view); } } }, "The table has changed: read again") : null),
    h("nav", { class: "tabs", "aria-label": "Tables", style: { padding: "0 20px 6px" } }, view.app.pipeline.tables.map((each) => link(`/rows/${part(each.name)}`, { "aria-current": each.name === view.name ? "page" : null, "data-id": `table ${each.name}` }, each.name, view.now?.tables[each.name] ? h("span", { class: "note small" }, about(view.now.tables[each.name]).replace(/ rows?$/, "").replace("about ", "~")) : null))));
}

function news(view, now) {
  const before = view.drawnAt, counted = now.tables[view.name]?.[0];
  view.now = now;
  if (before === null || before === undefined) view.drawnAt = { change: now.status.last_change, counted };
  else if (!view.newer && ((before.counted !== undefined && counted !== before.counted) || touched(view, now, before))) view.newer = true;
  else before.counted ??= counted;
  title(view);
  if (view.unringed === view.rows) for (let at = 0; at < view.rows.length; at += AT_ONCE) ring(view, view.rows, at);
}

/** Whether a change since then wrote this table, as far as this process saw. */
const touched = (view, now, before) => now.recent.changes.some((each) => each.key > before.change && (each.table === view.name || each.triggers.some((name) => view.app.pipeline.triggers.find((trigger) => trigger.name === name)?.table === view.name)));

function filter(view) {
  const where = h("input", { class: "long", name: "where", value: view.query, "aria-label": "Filter, as SQL", placeholder: "Filter: price < 20 and shop = 'North'", spellcheck: "false" });
  const text = h("input", { name: "text", "aria-label": "Search by text", placeholder: "Search by text" });
  const searched = view.table.keys.filter((each) => each.type === "str");
  const of = h("select", { "aria-label": "Key to search" }, searched.map((each) => h("option", { value: each.name }, each.name)));
  return h("div", { style: { display: "flex", "flex-direction": "column", gap: "8px", "margin-bottom": "12px" } },
    h("form", { class: "field", on: { submit: (event) => { event.preventDefault(); view.query = where.value.trim(); view.app.keep({ where: view.query, sql: null }); read(view); } } }, where, h("button", { class: "button" }, "Filter")),
    searched.length ? h("form", { class: "field", on: { submit: (event) => { event.preventDefault(); search(view, of.value, text.value.trim()); } } }, of, text, h("button", { class: "button quiet" }, "Search"), sqlButton(view)) : h("div", { class: "field" }, sqlButton(view)));
}

const sqlButton = (view) => h("button", { class: "button quiet", type: "button", on: { click: () => runSql(view, `select * from ${view.name} limit 20`) } }, "SQL");

const light = (view) => view.table.keys.filter((each) => !isHeavy(each) && !each.is_hidden).map((each) => each.name).join(",");

const nameOf = (view, row) => ({ id: row.id, pages: Object.fromEntries(view.table.primary_key.filter((each) => each !== "id").map((each) => [each, row[each]])) });

async function read(view, after = null) {
  const isLast = asking(view.body), where = view.query;
  try {
    const drawnAt = after ? view.drawnAt : await known(view);
    const found = await get(`/v1/tables/${part(view.name)}/rows`, { where, limit: AT_ONCE, keys: light(view), after });
    if (!isLast()) return;
    const before = after ? view.rows : [];
    Object.assign(view, { drawnAt, rows: [...before, ...found.rows], next: found.next });
    draw(view, view.rows, view.next);
    for (let at = 0; at <= before.length; at += AT_ONCE) ring(view, view.rows, at);
  } catch (error) {
    if (isLast()) put(view.body, h("div", { role: "alert" }, h("p", { class: "failed-note" }, error.message), h("button", { class: "button", type: "button", on: { click: () => read(view) } }, "Try again")));
  }
}

/** What the rows that are read next hold at least. Without news yet, it is asked: a change after it would be taken for what was read. */
async function known(view) {
  if (view.now) return { change: view.now.status.last_change, counted: view.now.tables[view.name]?.[0] };
  return { change: (await get("/v1/status")).last_change, counted: undefined };
}

async function search(view, key, text) {
  if (!text) return read(view);
  const isLast = asking(view.body);
  try {
    const found = await post("/v1/search", { key: `${view.name}.${key}`, text, k: 50, keys: light(view).split(",") });
    if (!isLast()) return;
    view.rows = found.hits.map((hit) => hit.row);
    draw(view, view.rows, null, `The ${view.rows.length} best for “${text}”.`);
  } catch (error) {
    if (isLast()) put(view.body, h("p", { class: "failed-note", role: "alert" }, error.message));
  }
}

function draw(view, rows, next, told) {
  const { table } = view;
  if (!rows.length) {
    put(view.body, h("p", { class: "note" }, view.query ? "No row is so. " : "No rows yet. ", h("code", {}, `store.set("${view.name}", …)`), " makes one."));
    return;
  }
  const pages = table.primary_key.filter((each) => each !== "id");
  const keys = table.keys.filter((each) => each.name !== "id" && !pages.includes(each.name));
  let last = null;
  const lines = rows.map((row, index) => {
    const name = nameOf(view, row), isFolded = row.id === last;
    last = row.id;
    const line = h("tr", { class: "pick", tabindex: index === 0 ? 0 : -1, "data-row": index, "data-id": `row ${index}`, on: { click: () => show(view, name, line), keydown: (event) => event.key === "Enter" && show(view, name, line) } },
      h("td", { class: "mono", style: { "padding-left": isFolded ? "28px" : "12px" } }, isFolded ? pages.filter((page) => row[page]).map((page) => `${page} ${row[page]}`).join(", ") || "page 0" : [String(row.id), pages.some((page) => row[page]) ? h("span", { class: "note" }, ` ${pages.filter((page) => row[page]).map((page) => `${page} ${row[page]}`).join(", ")}`) : null]),
      keys.map((key) => h("td", { "data-key": key.name, class: key.type === "int" || key.type === "float" ? "right" : "cut" }, cell(view.name, key, row, name.id, name.pages))));
    return line;
  });
  put(view.body, told ? h("p", { class: "note", style: { "margin-bottom": "8px" } }, told) : null,
    h("div", { class: "card scroll" }, h("table", {}, h("caption", { class: "unseen" }, `Rows of ${view.name}`),
      h("thead", {}, h("tr", {}, h("th", {}, "id"), keys.map((key) => h("th", { class: key.type === "int" || key.type === "float" ? "right" : "" }, key.name)))),
      h("tbody", {}, lines))),
    next ? h("p", { style: { "margin-top": "10px" } }, h("button", { class: "button", type: "button", "data-id": "more", on: { click: () => read(view, next) } }, `${AT_ONCE} more`), h("span", { class: "note small" }, `  ${rows.length} shown`)) : null);
}

/** A dashed ring on each value that other code has made: asked for once the rows stand there, and only where some are so. */
async function ring(view, rows, from) {
  const isStale = (now) => view.app.pipeline.triggers.some((each) => each.table === view.name && now.status.triggers[each.name]?.stale);
  if (!view.now || !isStale(view.now)) { view.unringed = rows; return; }
  view.unringed = null;
  const asked = rows.slice(from, from + AT_ONCE).map((row) => { const { id, pages } = nameOf(view, row); return { id, pages: Object.fromEntries(Object.entries(pages).filter(([, number]) => number)) }; });
  const found = await post(`/v1/tables/${part(view.name)}/stale`, { rows: asked }).catch(() => ({ rows: [] }));
  if (view.rows !== rows) return;
  for (const [i, each] of found.rows.entries()) {
    for (const key of each.keys) {
      const cell = view.body.querySelector(`tr[data-row="${from + i}"] td[data-key="${CSS.escape(key)}"]`);
      if (cell && !cell.querySelector(".ring")) cell.prepend(h("span", { class: "ring", title: "stale: other code made it" }, sign("stale"), h("span", { class: "unseen" }, "stale: ")));
    }
  }
}

async function show(view, name, line) {
  for (const each of view.body.querySelectorAll("tr[aria-selected]")) each.removeAttribute("aria-selected");
  line?.setAttribute("aria-selected", "true");
  view.app.keep({ row: JSON.stringify(name) });
  const isLast = asking(view.side);
  const row = await get(`/v1/tables/${part(view.name)}/row`, { id: name.id, ...name.pages, keys: light(view) });
  if (!isLast()) return;
  const trace = h("div", {});
  const keys = view.table.keys.filter((each) => !view.table.primary_key.includes(each.name));
  view.side.classList.add("is-sheet");
  put(view.side,
    h("button", { class: "button little close", type: "button", on: { click: () => view.side.classList.remove("is-sheet") } }, "Close"),
    h("div", {}, h("p", { class: "note small" }, `row of ${view.name}`), h("h2", { class: "named mono" }, rowName(row.id, name.pages))),
    keys.map((key) => h("div", {},
      h("div", { class: "span" }, h("h3", { class: "mono" }, key.name), key.is_hidden ? null : h("button", { class: "button quiet little", type: "button", "aria-label": `Where ${key.name} came from`, on: { click: () => { origin(trace, view.name, name.id, name.pages, key.name); trace.scrollIntoView({ block: "nearest" }); } } }, "Where from?")),
      whole(view.name, key, row, name.id, name.pages))),
    h("hr"), trace);
}

function key(view, event) {
  const lines = [...view.body.querySelectorAll("tr[data-row]")];
  if (!lines.length || !["j", "k", "ArrowDown", "ArrowUp"].includes(event.key)) return false;
  const at = lines.indexOf(document.activeElement);
  const next = at < 0 ? 0 : Math.min(lines.length - 1, Math.max(0, at + (event.key === "j" || event.key === "ArrowDown" ? 1 : -1)));
  lines[next].focus();
  return true;
}

// -- SQL that reads --

async function runSql(view, text) {
  view.app.keep({ sql: text, where: null });
  const field = h("textarea", { rows: 3, "aria-label": "SQL", spellcheck: "false", class: "mono", style: { width: "100%", padding: "8px 10px", border: "1px solid var(--edge)", "border-radius": "6px", background: "var(--surface)" } }, text);
  const out = h("div", { style: { "margin-top": "10px" } });
  const run = async () => {
    view.app.keep({ sql: field.value });
    const isLast = asking(out);
    try {
      const found = await post("/v1/sql", { query: field.value, limit: SQL_ROWS, timeout: SQL_SECONDS });
      if (!isLast()) return;
      put(out, h("p", { class: "note small", style: { "margin-bottom": "6px" } }, `${found.rows.length} rows${found.rows.length === SQL_ROWS ? ", the first 1,000" : ""}`),
        h("div", { class: "card scroll" }, h("table", {}, h("thead", {}, h("tr", {}, found.columns.map((each) => h("th", {}, each)))), h("tbody", {}, found.rows.map((row) => h("tr", {}, row.map((each) => h("td", { class: "cut" }, cut(value(each)))))))))); 
    } catch (error) {
      if (isLast()) put(out, h("p", { class: "failed-note", role: "alert" }, error.message));
    }
  };
  asking(view.body);
  put(view.body, h("form", { on: { submit: (event) => { event.preventDefault(); run(); } } }, field, h("div", { class: "field", style: { "margin-top": "8px" } }, h("button", { class: "button first" }, "Run"), h("span", { class: "note small" }, "It can only read, for 2 s, and gives 1,000 rows at most."))), out);
  await run();
}
