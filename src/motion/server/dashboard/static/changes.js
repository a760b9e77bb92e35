// Changes: what did one cause, and when?
import { get, part, post } from "./api.js";
import { sure } from "./dialogs.js";
import { h, link, put, toast } from "./dom.js";
import { clock, count, rowName, rows, seconds, when } from "./format.js";
import { changeName, changeTag } from "./graph.js";
import { sign } from "./icons.js";
import { origin } from "./origin.js";
import { heading } from "./say.js";
import { letter } from "./problems.js";

export const KEYS = [["↑ ↓", "step by step"], ["→", "unfold"], ["e", "next error"], ["[ ]", "change before and after"]];

const MOST_LINES = 200;

export async function open(place, app, named) {
  return named === null ? list(place, app) : one(place, app, Number(named));
}

function list(place, app) {
  const top = h("div", {}, heading("Changes", "The last ones that this process saw, the latest first.")), body = h("div", { class: "body" }, h("p", { class: "note" }, "Waiting for the first news."));
  put(place, top, body);
  const news = (now) => {
    const { changes, total } = now.recent;
    if (!changes.length) {
      put(body, h("p", { class: "note" }, "None yet. ", h("code", {}, "store.set(…)"), " makes one; what it causes is shown here."));
      return;
    }
    put(body, h("div", { class: "card scroll fresh" }, h("table", {}, h("caption", { class: "unseen" }, "Last changes"),
      h("thead", {}, h("tr", {}, h("th", { class: "right" }, "Change"), ["Of", "By", "Caused", "When", ""].map((each) => h("th", {}, each)))),
      h("tbody", {}, changes.map((each) => h("tr", { class: "pick" }, h("td", { class: "right" }, link(`/changes/${each.key}`, { "data-id": `change ${each.key}`, style: { "text-decoration": "underline" } }, count(each.key))), h("td", { class: "mono cut" }, changeName(each)), h("td", {}, each.verb || "the store's own"), h("td", { class: "cut note" }, each.triggers.join(", ") || "nothing"), h("td", { class: "num" }, when(each.at)), h("td", {}, changeTag(each))))))),
      h("p", { class: "note small" }, `${changes.length} of ${count(total)} drawn. Any change can be asked for by its number: press /.`));
  };
  return { news, key: (event) => moveLinks(body, event) };
}

function moveLinks(body, event) {
  const links = [...body.querySelectorAll("tbody a")];
  if (!["j", "k", "ArrowDown", "ArrowUp"].includes(event.key) || !links.length) return false;
  const at = links.indexOf(document.activeElement), isDown = event.key === "j" || event.key === "ArrowDown";
  links[at < 0 ? 0 : Math.min(links.length - 1, Math.max(0, at + (isDown ? 1 : -1)))].focus();
  return true;
}

async function one(place, app, key) {
  const view = { app, key, unfolded: new Set(), chosen: null, found: null };
  view.top = h("div", {});
  view.body = h("div", { class: "body" });
  view.side = h("aside", { class: "side", "aria-label": "Where it came from" }, h("h2", {}, "Choose a run"), h("p", { class: "note" }, "It shows where the value came from that it made, back to what was given from outside."));
  put(place, view.top, h("div", { class: "split wide-side" }, view.body, view.side));
  view.found = await get(`/v1/changes/${key}/trace`);
  draw(view);
  return {
    news: () => {
      if (view.found.trace && view.found.trace.seconds === null && !view.isAsking) again(view);
    },
    key: (event) => steps(view, event),
  };
}

async function again(view) {
  view.isAsking = true;
  try {
    view.found = await get(`/v1/changes/${view.key}/trace`);
    draw(view);
  } finally {
    view.isAsking = false;
  }
}

function draw(view) {
  const { trace, errors } = view.found;
  const moves = [h("button", { class: "button", type: "button", disabled: view.key <= 1, "data-id": "before", on: { click: () => neighbour(view, -1) } }, "Previous ", h("kbd", {}, "[")), h("button", { class: "button", type: "button", "data-id": "after", on: { click: () => neighbour(view, 1) } }, "Next ", h("kbd", {}, "]"))];
  const trail = [link("/changes", {}, "Changes"), ` / ${count(view.key)}`];
  if (!trace) {
    put(view.top, heading(`Change ${count(view.key)}`, "This process has not seen its runs, or too long ago: what it left behind is in the rows. Only runs that were measured are drawn.", moves, trail));
    put(view.body, errors.map((each) => letter(view.app, each, () => again(view))));
    return;
  }
  const isOver = trace.seconds !== null;
  put(view.top, heading(changeName(trace), [trace.verb ? `${trace.verb} from outside` : "begun by the store itself", ", ", when(trace.at), ". ", changeTag(trace)], moves, trail), figures(trace));
  put(view.body, fall(view, trace, isOver), errors.slice(0, 20).map((each) => letter(view.app, each, () => again(view))), errors.length > 20 ? h("p", { class: "note" }, `20 of ${rows(errors.length)} that failed; the rest is among the `, link("/problems", {}, "problems"), ".") : null,
    h("div", { class: "hints" }, h("span", {}, h("kbd", {}, "↑"), h("kbd", {}, "↓"), "step"), h("span", {}, h("kbd", {}, "→"), "unfold"), h("span", {}, h("kbd", {}, "Enter"), "where from"), h("span", {}, h("kbd", {}, "e"), "next error"), h("span", {}, "Measured here. Dotted: waiting. Solid: running. Tick: written, and seen by readers.")));
}

function figures(trace) {
  const first = trace.runs.find((run) => run.committed_s !== null);
  const versions = [...new Set(trace.runs.filter((run) => run.version).map((run) => `${run.trigger.split(".")[0]} ${run.version}`))];
  const busy = trace.runs.reduce((sum, run) => sum + (run.seconds ?? 0), 0);
  const pairs = [["Set", clock(trace.at)], ["First value", first ? seconds((Date.parse(first.at) - Date.parse(trace.at)) / 1000 + first.committed_s) : "–"], [trace.seconds === null ? "So far" : "Until done", trace.seconds === null ? seconds((Date.now() - Date.parse(trace.at)) / 1000) : seconds(trace.seconds)], ["In calls", seconds(busy)], ["Rows run on", count(trace.runs.reduce((sum, run) => sum + run.rows, 0) + Object.values(trace.beyond).reduce((sum, [n]) => sum + n, 0))]];
  if (versions.length) pairs.push(["State versions", versions.join(", ")]);
  return h("div", { class: "figures" }, pairs.map(([name, shown]) => h("div", {}, h("span", {}, name), h("b", {}, shown))));
}

/** Runs of one trigger as one line with a count, unless it is one run, or unfolded. */
function lines(view, trace) {
  const order = view.app.pipeline.triggers.map((each) => each.name);
  const groups = new Map();
  for (const run of trace.runs) groups.set(run.trigger, [...(groups.get(run.trigger) ?? []), run]);
  const depth = depths(view.app.pipeline);
  const found = [];
  for (const name of [...groups.keys()].sort((a, b) => order.indexOf(a) - order.indexOf(b))) {
    const runs = groups.get(name);
    found.push({ id: name, name, runs, depth: depth[name] ?? 0, isFolded: runs.length > 1 && !view.unfolded.has(name), beyond: trace.beyond[name] });
    if (runs.length > 1 && view.unfolded.has(name)) for (const [i, run] of runs.slice(0, MOST_LINES).entries()) found.push({ id: `${name} ${i}`, name, runs: [run], depth: (depth[name] ?? 0) + 1, isPart: true });
  }
  return found;
}

function depths(pipeline) {
  const maker = new Map(pipeline.triggers.flatMap((each) => each.sets.map((key) => [key, each.name])));
  const found = {};
  const of = (name, seen) => {
    if (found[name] !== undefined || seen.has(name)) return found[name] ?? 0;
    const trigger = pipeline.triggers.find((each) => each.name === name);
    const above = [...trigger.on, ...trigger.reads].map((key) => maker.get(key)).filter(Boolean);
    return (found[name] = above.length ? 1 + Math.max(...above.map((each) => of(each, new Set([...seen, name])))) : 0);
  };
  for (const each of pipeline.triggers) of(each.name, new Set());
  return found;
}

function fall(view, trace, isOver) {
  const begun = Date.parse(trace.at);
  const ends = trace.runs.map((run) => (Date.parse(run.at) - begun) / 1000 + Math.max(run.seconds ?? 0, run.committed_s ?? 0));
  const total = Math.max(trace.seconds ?? (Date.now() - begun) / 1000, ...ends, 0.001) * 1.12;
  const at = (value) => `${Math.max(0, Math.min(100, (100 * value) / total))}%`;
  const marks = scale(total);
  const grid = () => marks.map((mark) => h("i", { class: "grid-line", style: { left: at(mark) } }));
  const all = lines(view, trace);
  return h("div", { class: "card fall", role: "treegrid", "aria-label": "Runs, in time" },
    h("div", { class: "line scale", role: "row" }, h("div", { class: "name", role: "columnheader" }, "Trigger"), h("div", { class: "track", role: "columnheader" }, grid(), marks.map((mark) => h("span", { style: { left: at(mark) } }, mark ? seconds(mark) : "0")))),
    h("div", { class: "line", role: "row" }, h("div", { class: "name", role: "gridcell" }, h("b", {}, changeName(trace)), h("span", { class: "note" }, trace.verb)), h("div", { class: "track", role: "gridcell" }, grid(), h("i", { class: "tick", style: { left: 0 } }), h("span", { class: "told", style: { left: "4px" } }, "committed with its work"))),
    all.map((line) => lineOf(view, line, begun, total, at, grid)),
    !trace.runs.length ? h("div", { class: "line" }, h("div", { class: "name note" }, isOver ? "Nothing followed from it." : "Nothing has run yet."), h("div", { class: "track" })) : null);
}

function scale(total) {
  const rough = total / 6, size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * size).find((each) => each >= rough);
  return Array.from({ length: Math.floor(total / step) + 1 }, (_, i) => i * step).filter((each) => each < total * 0.97);
}

function lineOf(view, line, begun, total, at, grid) {
  const from = (run) => Math.max(0, (Date.parse(run.at) - begun) / 1000);
  const failed = line.runs.reduce((sum, run) => sum + run.failed, 0), n = line.runs.reduce((sum, run) => sum + run.rows, 0) + (line.beyond?.[0] ?? 0);
  const first = line.runs[0], measured = line.runs.filter((run) => run.seconds !== null);
  const mean = measured.length ? measured.reduce((sum, run) => sum + run.seconds, 0) / measured.length : null;
  const end = Math.max(...line.runs.map((run) => from(run) + Math.max(run.seconds ?? 0, run.committed_s ?? 0)));
  const error = line.runs.find((run) => run.error)?.error;
  const told = failed ? (error ?? `${rows(failed)} raised`) : first.is_inline ? `${seconds(first.seconds)}, in memory with the write` : line.runs.length > 1 ? `${count(line.runs.length)} runs, ${seconds(mean)} each` : first.seconds === null ? "in memory behind the one before" : `${seconds(first.seconds)}${first.committed_s !== null ? `, written after ${seconds(first.committed_s)}` : ""}`;
  const isLeft = end / total > 0.62, begins = Math.min(...line.runs.map(from));
  const told_at = isLeft && begins / total < (innerWidth < 900 ? 0.45 : 0.3) ? null : at(isLeft ? begins : end);
  const what = line.isPart || line.runs.length === 1 ? (first.id !== null && first.id !== undefined ? `${rowName(first.id, first.pages)}${first.rows > 1 ? ` and ${first.rows - 1} more` : ""}` : rows(n)) : rows(n);
  const canUnfold = !line.isPart && line.runs.length > 1;
  const place = h("div", {
    class: `line${failed ? " is-bad" : ""}`, role: "row", tabindex: 0, "data-id": `line ${line.id}`, "data-bad": failed ? "" : null, "aria-level": line.depth + 1,
    "aria-expanded": canUnfold ? String(!line.isFolded) : null, "aria-selected": String(view.chosen === line.id),
    "aria-label": `${line.name}, ${what}, ${told}`,
    on: { click: () => choose(view, line), keydown: (event) => { if (event.key === "Enter") choose(view, line); } },
  },
    h("div", { class: "name", role: "gridcell", style: { "padding-left": `${12 + line.depth * 16}px` } },
      canUnfold ? h("button", { class: "unfold", type: "button", tabindex: -1, "aria-label": line.isFolded ? "Unfold" : "Fold", on: { click: (event) => { event.stopPropagation(); unfold(view, line); } } }, line.isFolded ? "+" : "−") : null,
      sign(failed ? "failed" : "done"), h("b", { title: line.name }, line.name.split(".").pop()), h("span", { class: "note" }, what)),
    h("div", { class: "track", role: "gridcell" }, grid(),
      h("i", { class: "wait", style: { left: at(waitFrom(view, line, begun)), width: at(Math.max(0, from(first) - waitFrom(view, line, begun))) } }),
      line.runs.map((run) => h("i", { class: `run${run.failed ? " bad" : ""}${run.is_inline || run.seconds === null ? " memory" : ""}`, style: { left: at(from(run)), width: at(run.seconds ?? 0) } })),
      line.runs.filter((run) => run.committed_s !== null).map((run) => h("i", { class: "tick", style: { left: at(from(run) + run.committed_s) } })),
      h("span", { class: `told${isLeft && told_at !== null ? " left" : ""}`, style: told_at === null ? { right: "2px" } : { left: told_at } }, told)));
  return place;
}

/** Since when a run could have begun: since the last of what it runs on was written before it, else since the change. */
function waitFrom(view, line, begun) {
  const trigger = view.app.pipeline.triggers.find((each) => each.name === line.name), start = (Date.parse(line.runs[0].at) - begun) / 1000;
  const makers = view.app.pipeline.triggers.filter((each) => each.sets.some((key) => trigger?.on.includes(key) || trigger?.reads.includes(key))).map((each) => each.name);
  const written = view.found.trace.runs.filter((run) => makers.includes(run.trigger) && run.committed_s !== null).map((run) => (Date.parse(run.at) - begun) / 1000 + run.committed_s).filter((each) => each <= start);
  return Math.max(0, ...written);
}

function unfold(view, line) {
  if (view.unfolded.has(line.name)) view.unfolded.delete(line.name);
  else view.unfolded.add(line.name);
  draw(view);
}

function choose(view, line) {
  view.chosen = line.id;
  draw(view);
  view.app.keep({});
  const run = line.runs[0], trigger = view.app.pipeline.triggers.find((each) => each.name === line.name);
  const key = trigger?.sets[0]?.split(".")[1];
  view.side.classList.add("is-sheet");
  if (!key || run.id === null || run.id === undefined) {
    put(view.side, h("button", { class: "button little close", type: "button", on: { click: () => view.side.classList.remove("is-sheet") } }, "Close"), h("h2", {}, line.name), h("p", { class: "note" }, run.is_inline ? "It ran in memory, before the write: open the row to see where its values came from." : "It makes no key of its row, so there is no value to explain here."));
    return;
  }
  const told = h("div", {});
  put(view.side, h("button", { class: "button little close", type: "button", on: { click: () => view.side.classList.remove("is-sheet") } }, "Close"), told, link(`/rows/${part(run.table)}?row=${part(JSON.stringify({ id: run.id, pages: run.pages }))}`, { class: "button" }, "Open the row"));
  origin(told, run.table, run.id, run.pages, key);
}

function neighbour(view, by) {
  const known = view.app.live.now?.recent.changes.map((each) => each.key).sort((a, b) => a - b) ?? [];
  const next = by > 0 ? known.find((each) => each > view.key) : known.filter((each) => each < view.key).at(-1);
  view.app.go(`/changes/${next ?? Math.max(1, view.key + by)}`);
}

function steps(view, event) {
  if (event.key === "[" || event.key === "]") { neighbour(view, event.key === "[" ? -1 : 1); return true; }
  const all = [...view.body.querySelectorAll(".fall .line[tabindex]")];
  const at = all.indexOf(document.activeElement);
  if (["ArrowDown", "ArrowUp", "j", "k"].includes(event.key) && all.length) {
    const isDown = event.key === "ArrowDown" || event.key === "j";
    all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + (isDown ? 1 : -1)))].focus();
    return true;
  }
  if ((event.key === "ArrowRight" || event.key === "ArrowLeft") && at >= 0) {
    const name = all[at].dataset.id.slice(5);
    if (all[at].hasAttribute("aria-expanded")) unfold(view, { name });
    return true;
  }
  if (event.key === "e") {
    const bad = all.filter((each) => each.dataset.bad !== undefined);
    if (bad.length) bad[(bad.indexOf(document.activeElement) + 1) % bad.length].focus();
    return true;
  }
  return false;
}

/** Drop what of a change has not begun. */
export async function cancel(key) {
  if (!(await sure(`Cancel change ${count(key)}?`, "What is done stays; what has not begun is dropped.", "Cancel it"))) return;
  await post(`/v1/changes/${key}/cancel`);
  toast("Cancelled; what was done stays.");
}
