// The graph: is it working, and what is it doing?
import { get, part } from "./api.js";
import { arrange, arrow, course, related } from "./arrange.js";
import { h, link, put, s } from "./dom.js";
import { about, count, middle, rate, rowName, rows, seconds } from "./format.js";
import { diamond, glyph, sign, WORDS } from "./icons.js";
import { heading, sentence } from "./say.js";
import { spark } from "./spark.js";

export const KEYS = [["← →", "along edges"], ["f", "only what leads to the chosen, and follows"], ["l", "as a list"]];

const FOLDED_FROM = 40, LISTED_FROM = 400;

export async function open(place, app) {
  const { pipeline } = app;
  const versions = Object.fromEntries(await Promise.all(pipeline.components.map(async (name) => [name, (await get(`/v1/models/${part(name)}/versions`)).versions])));
  const drawn = arrange(pipeline);
  const view = {
    app, pipeline, drawn, versions, now: null, lastCalls: {}, ranAt: {},
    pick: app.params().get("node"),
    asList: app.params().get("as") === "list" || (app.params().get("as") !== "graph" && (innerWidth < 900 || drawn.nodes.size >= LISTED_FROM)),
  };
  if (!drawn.nodes.has(view.pick)) view.pick = null;
  const top = h("div", {}), middlePart = h("div", {}), side = h("aside", { class: "side" }), feet = h("div", { class: "body" });
  const split = h("div", { class: "split" }, h("div", {}, middlePart), side);
  put(place, top, split, feet);
  Object.assign(view, { top, middle: middlePart, side, feet });
  if (!pipeline.triggers.length && !pipeline.tables.length) {
    put(place, heading("Nothing here yet.", "A store begins with a table."), h("div", { class: "blank" }, h("pre", {}, 'store = motion.create_store("shop", schemas={"product": Product}, triggers=[describe])')));
    return {};
  }
  put(top, heading(pipeline.name, "Waiting for the first news."));
  draw(view);
  panel(view);
  return {
    news: (now) => news(view, now),
    key: (event) => key(view, event),
  };
}

function news(view, now) {
  view.now = now;
  const said = sentence(now);
  put(view.top, heading(said.title, said.told, said.action));
  const at = performance.now();
  for (const [name, each] of Object.entries(now.status.triggers)) {
    if (view.lastCalls[name] !== undefined && each.calls > view.lastCalls[name]) view.ranAt[name] = at;
    view.lastCalls[name] = each.calls;
  }
  const moved = pendingVersions(view, now);
  if (view.asList) draw(view);
  else refresh(view);
  panel(view);
  below(view);
  if (moved) refetch(view, moved);
}

/** A component whose live version or candidate is not among those that are drawn. */
function pendingVersions(view, now) {
  return Object.values(now.models).find((each) => {
    const known = view.versions[each.name] ?? [];
    const live = known.find((version) => version.status === "live")?.number ?? null;
    const candidate = known.find((version) => version.status === "candidate")?.number ?? null;
    return live !== each.live || candidate !== each.candidate;
  })?.name;
}

async function refetch(view, name) {
  if (view.isAsking) return;
  view.isAsking = true;
  try {
    view.versions[name] = (await get(`/v1/models/${part(name)}/versions`)).versions;
    if (!view.asList) draw(view);
  } finally {
    view.isAsking = false;
  }
}

export function stateOf(status, ranAt) {
  if (!status) return "idle";
  if (status.tasks.dead) return "failed";
  if (status.tasks.claimed) return "running";
  if (status.tasks.ready) return "running";
  if (status.tasks.blocked || status.tasks.postponed) return "blocked";
  if (ranAt && performance.now() - ranAt < 10000) return "done";
  if (status.stale) return "stale";
  return "idle";
}

function lineTwo(status) {
  if (!status) return "";
  if (status.rows) return `${count(status.rows)} to do${status.per_second ? `, ${rate(status.per_second)}` : ""}`;
  if (status.stale) return `${rows(status.stale)} stale`;
  if (status.calls) return `idle, ${seconds(status.seconds)} a call`;
  return status.has_code ? "has not run" : "no code here";
}

// -- the drawing --

function draw(view) {
  if (view.asList) { put(view.middle, tools(view), lists(view)); return; }
  const { drawn } = view;
  const folded = drawn.nodes.size > FOLDED_FROM && !view.isUnfolded;
  const svg = s("svg", { width: drawn.width, height: drawn.height, viewBox: `0 0 ${drawn.width} ${drawn.height}`, role: "group", "aria-label": `Graph of ${view.pipeline.tables.length} tables, ${view.pipeline.triggers.length} triggers and ${view.pipeline.components.length} models; the list says the same` });
  for (const lane of drawn.lanes) svg.append(s("rect", { x: 4.5, y: lane.y + 0.5, width: lane.w - 1, height: lane.h - 1, rx: 10, class: "lane" }));
  const shown = folded ? [] : drawn.edges;
  const spreads = {};
  for (const edge of shown) {
    const at = edge.kind === "sets" ? `o${edge.source}` : `i${edge.target}`;
    const same = drawn.edges.filter((each) => (edge.kind === "sets" ? each.source === edge.source && each.kind === "sets" : each.target === edge.target && ["fires", "reads"].includes(each.kind)));
    spreads[at] ??= same.length;
    const position = same.indexOf(edge);
    const spread = edge.kind === "uses" ? drawn.edges.filter((each) => each.kind === "uses" && each.source === edge.source).indexOf(edge) * 6 : position < 0 ? 0 : (position - (same.length - 1) / 2) * 8;
    const way = course(edge, drawn.nodes, spread);
    const cls = `edge ${edge.kind.replace(" ", "-")}`;
    const line = s("path", { d: way.path, class: cls, "data-from": edge.source, "data-to": edge.target });
    svg.append(line);
    if (way.tip) svg.append(s("path", { d: arrow(way.tip), class: `${cls} head`, "data-from": edge.source, "data-to": edge.target }));
    if (["fires", "sets"].includes(edge.kind)) svg.append(s("path", { d: way.path, class: "flow", hidden: "", "data-flow": edge.kind === "sets" ? edge.source : edge.target, "data-from": edge.source, "data-to": edge.target, style: { display: "none" } }));
  }
  // Names come after the lines, which would run through them.
  for (const lane of drawn.lanes) svg.append(s("text", { x: 20, y: lane.y + 24, class: "lane-text" }, s("tspan", { class: "lane-name" }, lane.title), s("tspan", { class: "lane-note", dx: 10, "data-lane": lane.name }, lane.isModels ? "" : laneNote(view, lane))));
  for (const node of folded ? [] : drawn.nodes.values()) svg.append(nodeOf(view, node));
  view.svg = svg;
  put(view.middle, tools(view, folded), h("div", { class: "graph" }, svg), legend(view));
  mark(view);
  if (view.now) refresh(view);
}

function tools(view, folded) {
  const hidden = view.drawn.lanes.flatMap((lane) => lane.others.map((name) => `${lane.name}.${name}`));
  return h("div", { class: "legend" },
    h("span", { class: "tabs", role: "group", "aria-label": "Shown as" },
      h("button", { type: "button", "aria-pressed": String(!view.asList), "data-id": "as-graph", on: { click: () => as(view, false) } }, "Graph"),
      h("button", { type: "button", "aria-pressed": String(view.asList), "data-id": "as-list", on: { click: () => as(view, true) } }, "List")),
    folded ? h("button", { class: "button little", type: "button", on: { click: () => { view.isUnfolded = true; draw(view); } } }, `Unfold ${view.drawn.nodes.size} nodes`) : null,
    view.asList || !hidden.length ? null : h("span", { title: hidden.join(", ") }, `${hidden.length} ${hidden.length === 1 ? "key that feeds nothing is" : "keys that feed nothing are"} in the list only`));
}

function as(view, isList) {
  view.asList = isList;
  view.app.keep({ as: isList ? "list" : "graph" });
  draw(view);
}

const laneNote = (view, lane) => {
  const counted = view.now?.tables[lane.name];
  const pages = view.pipeline.tables.find((each) => each.name === lane.name)?.keys.filter((each) => each.is_page).length ?? 0;
  return [counted ? about(counted) : "", pages ? `${pages} ${pages === 1 ? "level" : "levels"} of pages` : ""].filter(Boolean).join(", ");
};

function nodeOf(view, node) {
  const label = { key: `key ${node.table}.${node.label}`, trigger: `trigger ${node.trigger?.name}`, fit: `fit ${node.fit?.name}`, component: `model ${node.label}` }[node.kind];
  const group = s("g", { class: "node", tabindex: 0, role: "button", "data-id": node.id, "aria-label": label, "aria-pressed": String(view.pick === node.id), on: { click: () => pick(view, node.id), keydown: (event) => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), pick(view, node.id)) } });
  const { x, y, w, h: high } = node;
  if (node.kind === "key") {
    if (node.isPaged) group.append(s("rect", { x: x + 3.5, y: y + 3.5, width: w - 4, height: high, rx: 4, class: "key-box back" }));
    group.append(s("rect", { x: x + 0.5, y: y + 0.5, width: w - 4, height: high, rx: 4, class: `key-box${node.isVector ? " vector" : ""}` }), s("text", { x: x + 9, y: y + 16.5, class: "key-name" }, middle(node.label, 28)));
  } else if (node.kind === "component") {
    group.append(s("rect", { x: x + 0.5, y: y + 0.5, width: w, height: high, rx: 8, class: "component-box" }), s("text", { x: x + 12, y: y + 21, class: "trigger-name" }, node.label), s("g", { "data-live": node.id }));
  } else {
    group.append(s("rect", { x: x + 0.5, y: y + 0.5, width: w, height: high, rx: 8, class: "trigger-box" }), s("text", { x: x + 28, y: y + 21, class: "trigger-name" }, middle(node.label, 30)), s("g", { "data-live": node.id }));
  }
  return group;
}

/** Write what is new on the nodes that are there. */
function refresh(view) {
  const { now, svg } = view;
  for (const note of svg.querySelectorAll("[data-lane]")) {
    const lane = view.drawn.lanes.find((each) => each.name === note.dataset.lane);
    if (!lane.isModels) note.textContent = laneNote(view, lane);
  }
  for (const place of svg.querySelectorAll("[data-live]")) {
    const node = view.drawn.nodes.get(place.dataset.live);
    if (node.kind === "trigger") put(place, onTrigger(view, node));
    else if (node.kind === "component") put(place, onComponent(view, node));
    else put(place, onFit(view, node));
  }
  for (const flow of svg.querySelectorAll("[data-flow]")) {
    const name = flow.dataset.flow.slice("trigger ".length), status = now.status.triggers[name];
    const flows = Boolean(status && (status.tasks.claimed || status.tasks.ready || performance.now() - (view.ranAt[name] ?? -1e9) < 1500));
    flow.style.display = flows ? "" : "none";
  }
}

function onTrigger(view, node) {
  const status = view.now.status.triggers[node.trigger.name], state = stateOf(status, view.ranAt[node.trigger.name]);
  const { x, y, w } = node;
  const text = lineTwo(status);
  svgLabel(view, node, `trigger ${node.trigger.name}: ${WORDS[state]}, ${text}`);
  const parts = [s("g", { transform: `translate(${x + 15.5} ${y + 17})` }, glyph(state)), s("text", { x: x + 11, y: y + 39, class: "line-two" }, text)];
  if (status?.rows) {
    const most = (view.most ??= {});
    most[node.id] = Math.max(most[node.id] ?? 0, status.rows);
    const done = 1 - status.rows / most[node.id];
    parts.push(s("rect", { x: x + 10, y: y + 45, width: w - 20, height: 3, rx: 1.5, class: "bar-ground" }), s("rect", { x: x + 10, y: y + 45, width: Math.max(2, (w - 20) * done), height: 3, rx: 1.5, class: "bar-done" }));
  } else if (view.most) delete view.most[node.id];
  if (status?.tasks.dead) {
    const told = `${count(status.tasks.dead)} failed`, wide = told.length * 6.2 + 14;
    parts.push(s("rect", { x: x + w - wide - 4, y: y - 9, width: wide, height: 18, rx: 9, class: "badge" }), s("text", { x: x + w - 4 - wide / 2, y: y + 4, "text-anchor": "middle", class: "badge-text" }, told));
  }
  return parts;
}

function onFit(view, node) {
  const model = view.now.models[node.fit.component], fit = model?.fits.find((each) => each.name === node.fit.name);
  const text = fit?.is_running ? (fit.progress ? `step ${fit.progress.step}${fit.progress.total ? ` of ${fit.progress.total}` : ""}` : "fits now") : fit ? (fit.wanted ? `${count(fit.labels)} of ${count(fit.wanted)} labels` : `${count(fit.labels)} labels`) : "fit";
  svgLabel(view, node, `fit ${node.fit.name}: ${text}`);
  return [s("g", { transform: `translate(${node.x + 15.5} ${node.y + 17})` }, glyph(fit?.is_running ? "running" : "idle")), s("text", { x: node.x + 11, y: node.y + 39, class: "line-two" }, text)];
}

function onComponent(view, node) {
  const model = view.now.models[node.label], all = view.versions[node.label] ?? [];
  const last = all.slice(-5), { x, y, w } = node;
  const step = (w - 76) / Math.max(1, last.length - 1);
  const parts = [];
  const places = last.map((version, i) => [version, x + 38 + (last.length === 1 ? 0 : i * step), y + (version.status === "refused" || version.status === "failed" ? 42 : 50)]);
  for (const [version, px, py] of places) {
    const parent = places.find(([each]) => each.number === version.parent);
    if (parent) parts.push(s("path", { d: `M${parent[1]} ${parent[2]}L${px} ${py}`, class: `lineage${version.status === "live" || version.status === "retired" ? "" : " dash"}` }));
  }
  for (const [version, px, py] of places) parts.push(s("g", { transform: `translate(${px} ${py})` }, diamond(version.status, version.number, version.status === "live" ? 11 : 9)), s("text", { x: px, y: y + 78, class: "line-two", "text-anchor": "middle" }, version.status));
  const told = stepTold(model);
  if (told) parts.push(s("text", { x: x + w - 12, y: y + 21, "text-anchor": "end", class: "line-two violet" }, told));
  if (model?.step === "build" && model.total) parts.push(s("rect", { x: x + 12, y: y + 86, width: w - 24, height: 4, rx: 2, class: "bar-ground" }), s("rect", { x: x + 12, y: y + 86, width: ((w - 24) * (model.total - model.left)) / model.total, height: 4, rx: 2, class: "bar-done violet" }));
  svgLabel(view, node, `model ${node.label}: ${model?.live ? `version ${model.live} is live` : "no version is live yet"}${told ? `, ${told}` : ""}`);
  return parts;
}

export function stepTold(model) {
  switch (model?.step) {
    case "fit": return "fits now";
    case "queued": return "a version waits";
    case "build": return model.total ? `${model.candidate}: built ${count(model.total - model.left)} of ${count(model.total)}` : `${model.candidate}: ${rows(model.left)} to build`;
    case "measure": return `${model.candidate}: measured`;
    case "gate": return `${model.candidate}: waits for you`;
    case "switch": return `${model.candidate}: about to switch`;
    default: return "";
  }
}

function svgLabel(view, node, text) {
  view.svg.querySelector(`[data-id="${CSS.escape(node.id)}"]`)?.setAttribute("aria-label", text);
}

// -- choosing --

function pick(view, id) {
  view.pick = view.pick === id ? null : id;
  if (!view.pick) view.isOnly = false;
  view.app.keep({ node: view.pick });
  mark(view);
  panel(view);
}

function mark(view) {
  if (!view.svg) return;
  const chosen = view.pick ? related(view.pick, view.drawn.edges) : null;
  const graph = view.svg.parentElement;
  graph?.classList.toggle("has-pick", Boolean(chosen));
  graph?.classList.toggle("only-pick", Boolean(chosen && view.isOnly));
  for (const node of view.svg.querySelectorAll(".node")) {
    node.classList.toggle("is-picked", node.dataset.id === view.pick);
    node.classList.toggle("is-dim", Boolean(chosen && !chosen.has(node.dataset.id)));
    node.setAttribute("aria-pressed", String(node.dataset.id === view.pick));
  }
  for (const edge of view.svg.querySelectorAll(".edge, .flow")) edge.classList.toggle("is-dim", Boolean(chosen && !(chosen.has(edge.dataset.from) && chosen.has(edge.dataset.to))));
}

function key(view, event) {
  const id = document.activeElement?.dataset?.id;
  if (event.key === "f" && view.pick) { view.isOnly = !view.isOnly; mark(view); return true; }
  if (event.key === "l") { as(view, !view.asList); return true; }
  if (event.key === "Escape" && view.pick) { pick(view, view.pick); return true; }
  if (!view.drawn.nodes.has(id) || view.asList) return false;
  const [from, to] = event.key === "ArrowRight" ? ["source", "target"] : event.key === "ArrowLeft" ? ["target", "source"] : [];
  const next = from && view.drawn.edges.find((edge) => edge[from] === id)?.[to];
  if (next) { view.svg.querySelector(`[data-id="${CSS.escape(next)}"]`)?.focus(); return true; }
  if (event.key === "ArrowDown" || event.key === "ArrowUp" || event.key === "j" || event.key === "k") {
    const here = view.drawn.nodes.get(id), isDown = event.key === "ArrowDown" || event.key === "j";
    const near = [...view.drawn.nodes.values()].filter((each) => (isDown ? each.y > here.y : each.y < here.y)).sort((a, b) => Math.abs(a.y - here.y) + Math.abs(a.x - here.x) - Math.abs(b.y - here.y) - Math.abs(b.x - here.x))[0];
    if (near) view.svg.querySelector(`[data-id="${CSS.escape(near.id)}"]`)?.focus();
    return true;
  }
  return false;
}

// -- beside it --

function panel(view) {
  const node = view.drawn.nodes.get(view.pick);
  view.side.setAttribute("aria-label", node ? node.label : "Nothing chosen");
  view.side.classList.toggle("is-sheet", Boolean(node));
  if (!node) {
    put(view.side, h("h2", {}, "Choose a node"), h("p", { class: "note" }, "It shows what leads there, what follows from it, and what it is doing."), totals(view));
    return;
  }
  const shut = h("button", { class: "button little close", type: "button", on: { click: () => pick(view, view.pick) } }, "Close");
  const parts = { key: keyPanel, trigger: triggerPanel, fit: fitPanel, component: componentPanel }[node.kind](view, node);
  put(view.side, shut, parts);
}

function totals(view) {
  if (!view.now) return null;
  const recent = view.now.recent;
  return h("dl", {}, h("dt", {}, "Changes seen here"), h("dd", {}, count(recent.total)), h("dt", {}, "Runs seen here"), h("dd", {}, count(recent.runs)), h("dt", {}, "Last change"), h("dd", {}, count(view.now.status.last_change)));
}

const facts = (pairs) => h("dl", {}, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value, isCode]) => [h("dt", {}, name), h("dd", { class: isCode ? "mono" : "" }, value)]));

const short = (path, table) => (path.startsWith(`${table}.`) ? path.slice(table.length + 1) : path);

function triggerPanel(view, node) {
  const { trigger } = node, status = view.now?.status.triggers[trigger.name];
  const names = (paths) => paths.map((path) => short(path, trigger.table)).join(", ");
  const backfill = view.now?.status.backfills.find((each) => each.trigger === trigger.name);
  return [
    h("div", {}, h("p", { class: "note small" }, trigger.component ? `trigger of ${trigger.component}` : "trigger"), h("h2", { class: "named" }, node.label)),
    h("div", { class: "tags" },
      status?.tasks.claimed ? h("span", { class: "tag blue" }, `${count(status.tasks.claimed)} ${status.tasks.claimed === 1 ? "task runs" : "tasks run"}`) : null,
      status?.tasks.ready ? h("span", { class: "tag" }, `${count(status.tasks.ready)} ready`) : null,
      status?.tasks.blocked ? h("span", { class: "tag amber" }, `${count(status.tasks.blocked)} blocked`) : null,
      status?.tasks.dead ? h("span", { class: "tag red" }, `${count(status.tasks.dead)} failed`) : null,
      trigger.component ? h("span", { class: "tag violet" }, `refresh ${trigger.refresh}`) : null,
      status && !status.has_code ? h("span", { class: "tag amber" }, "no code here") : null),
    facts([
      ["Runs on", trigger.schedule ?? (trigger.on_deleted ? `deleted ${trigger.on_deleted}` : names(trigger.on)), true],
      ["Reads", names(trigger.reads), true], ["Looks up", trigger.looks_up.join(", "), true], ["Window of", trigger.holds.join(", "), true],
      ["Searches", trigger.searches.join(", "), true], ["Sets", names(trigger.sets) || trigger.sets_table, true], ["Pages", trigger.page, true],
      ["To do", status && rows(status.rows)], ["Here", status && `${rate(status.per_second)} calls`], ["A call", status && `${seconds(status.seconds)}${trigger.batch ? `, batch of ${trigger.batch}` : ""}`],
      ["Calls ever", status && count(status.calls)], ["Failed", status && count(status.tasks.dead ?? 0)], ["Stale", status && rows(status.stale)], ["Code", trigger.fingerprint.slice(0, 8), true],
    ]),
    backfill ? [h("hr"), h("div", {}, h("h2", {}, `${backfill.kind} under way`), h("p", { class: "note small" }, `${count(backfill.total - backfill.remaining)} of ${rows(backfill.total)}. Live work goes first.`), h("div", { class: `bar${backfill.kind === "build" ? " violet" : ""}` }, h("i", { style: { width: `${backfill.total ? (100 * (backfill.total - backfill.remaining)) / backfill.total : 0}%` } })))] : null,
    h("hr"),
    trigger.table ? link(`/rows/${part(trigger.table)}`, { class: "button" }, "Open its rows") : null,
    status?.tasks.dead ? link("/problems", { class: "button" }, "Look at what failed") : null,
    status?.stale ? link(`/problems?plan=${part(trigger.name)}`, { class: "button" }, "Plan a backfill") : null,
    onlyButton(view),
  ];
}

const onlyButton = (view) => h("button", { class: "button quiet", type: "button", "data-id": "only", "aria-pressed": String(Boolean(view.isOnly)), on: { click: () => { view.isOnly = !view.isOnly; mark(view); panel(view); } } }, view.isOnly ? "Show all" : "Show only what leads here");

function keyPanel(view, node) {
  const { key } = node;
  return [
    h("div", {}, h("p", { class: "note small" }, `key of ${node.table}`), h("h2", { class: "named mono" }, key.name)),
    facts([["Holds", key.kind, true], ["Made by", key.made_by ?? "given from outside"], ["Told apart by", key.level.join(", "), true], ["Kept", key.is_versioned ? "once for each state version" : null]]),
    h("hr"), link(`/rows/${part(node.table)}`, { class: "button" }, "Open its rows"), onlyButton(view),
  ];
}

function fitPanel(view, node) {
  const fit = view.now?.models[node.fit.component]?.fits.find((each) => each.name === node.fit.name);
  return [
    h("div", {}, h("p", { class: "note small" }, `fit of ${node.fit.component}`), h("h2", { class: "named" }, node.label)),
    facts([["Labels from", node.fit.on.join(", "), true], ["Labels", fit && (fit.wanted ? `${count(fit.labels)} of ${count(fit.wanted)}` : count(fit.labels))], ["By itself", node.fit.schedule ?? (node.fit.every ? `every ${count(node.fit.every)} labels` : "never")], ["Now", fit && (fit.is_running ? "runs" : fit.is_asked ? "asked for" : "idle")]]),
    h("hr"), link(`/models/${part(node.fit.component)}`, { class: "button" }, "Open its model"), onlyButton(view),
  ];
}

function componentPanel(view, node) {
  const model = view.now?.models[node.label];
  return [
    h("div", {}, h("p", { class: "note small" }, "model"), h("h2", { class: "named" }, node.label)),
    facts([["Live", model ? (model.live ?? "none yet") : null], ["Candidate", model ? (model.candidate ?? "none") : null], ["Step", model?.step], ["Back to", model?.rollback_to]]),
    h("hr"), link(`/models/${part(node.label)}`, { class: "button" }, "Open its versions"), onlyButton(view),
  ];
}

// -- the same as tables --

function lists(view) {
  const status = view.now?.status.triggers ?? {};
  const lanes = view.drawn.lanes.filter((lane) => !lane.isModels);
  const tables = lanes.map((lane) => {
    const table = view.pipeline.tables.find((each) => each.name === lane.name);
    const triggers = lane.nodes.filter((node) => node.kind === "trigger");
    return h("section", { class: "card" },
      h("header", {}, lane.name ? link(`/rows/${part(lane.name)}`, {}, h("h2", {}, lane.title)) : h("h2", {}, lane.title), h("span", { class: "note small" }, laneNote(view, lane))),
      table ? h("p", { class: "note small", style: { padding: "8px 16px" } }, "Keys: ", h("span", { class: "mono" }, table.keys.map((key) => key.name).join(", "))) : null,
      triggers.length ? h("div", { class: "scroll" }, h("table", {},
        h("thead", {}, h("tr", {}, ["", "Trigger"].map((name) => h("th", {}, name)), ["To do", "Failed", "Stale", "A call"].map((name) => h("th", { class: "right" }, name)), ["Runs on", "Sets"].map((name) => h("th", {}, name)))),
        h("tbody", {}, triggers.map((node) => {
          const each = status[node.trigger.name], state = stateOf(each, view.ranAt[node.trigger.name]);
          return h("tr", {}, h("td", { title: WORDS[state] }, sign(state), h("span", { class: "unseen" }, WORDS[state])),
            h("td", {}, h("button", { class: "button quiet little", type: "button", "data-id": `list ${node.id}`, on: { click: () => pick(view, node.id) } }, node.trigger.name)),
            h("td", { class: "right" }, each ? count(each.rows) : ""), h("td", { class: "right" }, each ? count(each.tasks.dead ?? 0) : ""),
            h("td", { class: "right" }, each ? count(each.stale) : ""), h("td", { class: "right" }, each ? seconds(each.seconds) : ""),
            h("td", { class: "mono" }, node.trigger.schedule ?? node.trigger.on.map((path) => short(path, node.trigger.table)).join(", ")),
            h("td", { class: "mono" }, node.trigger.sets_table ?? node.trigger.sets.map((path) => short(path, node.trigger.table)).join(", ")));
        })))) : null);
  });
  const models = view.pipeline.components.map((name) => {
    const model = view.now?.models[name];
    return h("tr", {}, h("td", {}, link(`/models/${part(name)}`, {}, name)), h("td", { class: "right" }, model?.live ?? "–"), h("td", { class: "right" }, model?.candidate ?? "–"), h("td", {}, stepTold(model) || "at rest"));
  });
  return h("div", { class: "lists" }, tables, models.length ? h("section", { class: "card" }, h("header", {}, h("h2", {}, "models")), h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "Model"), h("th", { class: "right" }, "Live"), h("th", { class: "right" }, "Candidate"), h("th", {}, "Step"))), h("tbody", {}, models)))) : null);
}

function legend(view) {
  const edge = (cls) => s("svg", { width: 26, height: 12, "aria-hidden": "true" }, s("path", { d: "M0 6h24", class: `edge ${cls}` }));
  return h("div", { class: "legend" },
    ["running", "done", "idle", "failed", "stale"].map((state) => h("span", {}, sign(state), WORDS[state])),
    h("span", {}, edge("searches"), "reads by search"), h("span", {}, edge("reads"), "only reads"), h("span", {}, edge("uses"), "uses this model"));
}

// -- below it --

function below(view) {
  const { recent } = view.now;
  const perSlot = recent.slots.map((slot) => [Date.parse(slot.at), slot.calls / 5]);
  const lately = recent.slots.at(-1);
  const drawn = recent.changes.slice(0, 5);
  put(view.feet, h("div", { class: "feet fresh" },
    h("section", { class: "card" }, h("h2", {}, "Calls a second, this process", h("span", { class: "num" }, lately && Date.now() - Date.parse(lately.at) < 11000 ? rate(lately.calls / 5) : "0/s")), spark([perSlot], ["line"], true), ends()),
    h("section", { class: "card" }, h("h2", {}, "Change until done", h("span", { class: "num note", style: { "font-weight": 400 } }, "p50 ", h("b", { style: { color: "var(--ink)" } }, seconds(recent.p50)), "  p95 ", h("b", {}, seconds(recent.p95)))),
      spark([recent.slots.map((slot) => [Date.parse(slot.at), slot.p95]), recent.slots.map((slot) => [Date.parse(slot.at), slot.p50])], ["line p95", "line p50"], false), ends()),
    h("section", { class: "card" }, h("h2", {}, "Last changes", link("/changes", { class: "note", style: { "font-weight": 400 }, "data-id": "all-changes" }, "All")),
      h("div", { style: { "margin-top": "4px" } }, drawn.length ? drawn.map(changeLine) : h("p", { class: "note" }, "None yet. ", h("code", {}, "store.set(…)"), " makes one."),
        recent.total > drawn.length ? h("p", { class: "note small", style: { "margin-top": "4px" } }, `${drawn.length} of ${count(recent.total)} drawn`) : null))));
}

const ends = () => h("div", { class: "note small span" }, h("span", {}, "10 min ago"), h("span", {}, "now"));

export function changeLine(change) {
  return link(`/changes/${change.key}`, { class: "change-line", "data-id": `change ${change.key}` }, h("span", { class: "num note" }, count(change.key)), h("span", { class: "mono" }, changeName(change)), h("span", { class: "note" }, change.verb || "the store's own"), changeTag(change));
}

export function changeName(change) {
  if (!change.table) return change.triggers.join(", ") || `change ${change.key}`;
  return change.id !== null && change.id !== undefined ? `${change.table} ${rowName(change.id)}` : `${change.table}, ${rows(change.count)}`;
}

export function changeTag(change) {
  if (change.failed) return h("span", { class: "tag red" }, `${rows(change.failed)} failed`);
  if (change.seconds === null) return h("span", { class: "tag blue" }, `${rows(change.remaining)} to do`);
  return h("span", { class: "tag green" }, `done, ${seconds(change.seconds)}`);
}
