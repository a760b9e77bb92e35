// Models: ship it, or go back?
import { asking, get, part, post } from "./api.js";
import { sure } from "./dialogs.js";
import { h, link, put, s, speak, toast } from "./dom.js";
import { count, figure, rowName, rows, seconds, value, when } from "./format.js";
import { diamond, sign } from "./icons.js";
import { heading } from "./say.js";
import { thumb } from "./values.js";

export const KEYS = [["j k", "version up and down"], ["x", "compare the chosen one with the live one"], ["Shift P", "promote the chosen one"], ["Shift R", "roll back"], ["Shift F", "fit now"]];

const STEPS = [["fit", "Fit"], ["build", "Build"], ["measure", "Measure"], ["gate", "Gate"], ["switch", "Switch"]];

export async function open(place, app, named) {
  const names = app.pipeline.components;
  if (!names.length) {
    put(place, heading("No models yet.", "A component is a trigger with a state that learns."), h("div", { class: "blank" }, h("pre", {}, "class Ranker(motion.Component):\n    def setup(self): ...\n\n    @motion.infer(on=\"query.text\", sets=\"query.score\")\n    def score(self, state, text): ...")));
    return {};
  }
  const name = named ?? names[0];
  const view = { app, name, versions: [], status: null, chosen: Number(app.params().get("version")) || null, compared: null };
  view.top = h("div", {});
  view.body = h("div", { class: "body" });
  put(place, view.top, view.body);
  await read(view);
  return { news: (now) => news(view, now), key: (event) => key(view, event) };
}

async function read(view) {
  const isLast = asking(view.top);
  const [{ versions }, status] = await Promise.all([get(`/v1/models/${part(view.name)}/versions`), get(`/v1/models/${part(view.name)}/status`)]);
  if (!isLast()) return;
  Object.assign(view, { versions, status });
  await labels(view);
}

async function labels(view) {
  const of = view.chosen ?? view.status.candidate ?? view.status.live, isLast = asking(view.body);
  const found = of === null ? [] : (await get(`/v1/models/${part(view.name)}/labels`, { version: of, limit: 24 })).labels;
  if (!isLast()) return;
  Object.assign(view, { labelsOf: of, labels: found });
  draw(view);
}

function news(view, now) {
  const status = now.models[view.name];
  if (!status) return;
  const before = view.status;
  view.status = status;
  const moved = !before || before.live !== status.live || before.candidate !== status.candidate || before.step !== status.step;
  if (moved && before && before.live !== status.live) speak(`Version ${status.live} of ${view.name} is live.`);
  if (moved && !view.isAsking) {
    view.isAsking = true;
    read(view).finally(() => (view.isAsking = false));
  } else if (JSON.stringify(before) !== JSON.stringify(status)) draw(view);
}

function draw(view) {
  const { status, name } = view;
  const fit = status.fits[0];
  const waits = fit ? (fit.wanted ? `${count(fit.labels)} of ${count(fit.wanted)} labels until the next fit` : `${count(fit.labels)} labels`) : null;
  const may = view.app.may("admin");
  const actions = [
    waits ? h("span", { class: "note" }, waits) : null,
    may && status.fits.length ? h("button", { class: "button", type: "button", "data-id": "fit", disabled: status.step === "fit", on: { click: () => fitNow(view) } }, "Fit now") : null,
    may && status.rollback_to !== null ? h("button", { class: "button", type: "button", "data-id": "rollback", on: { click: () => rollback(view) } }, `Roll back to ${status.rollback_to}`) : null,
  ];
  const trail = [link("/models", {}, "Models"), ` / ${name}`];
  put(view.top, heading(title(status), null, actions, trail),
    view.app.pipeline.components.length > 1 ? h("nav", { class: "tabs", "aria-label": "Models", style: { padding: "0 20px 6px" } }, view.app.pipeline.components.map((each) => link(`/models/${part(each)}`, { "aria-current": each === name ? "page" : null, "data-id": `model ${each}` }, each))) : null);
  put(view.body, steps(view), h("div", { class: "model-grid" }, h("div", { style: { display: "flex", "flex-direction": "column", gap: "14px", "min-width": 0 } }, chart(view), table(view)), beside(view)));
}

function title(status) {
  const live = status.live === null ? "No version is live yet." : `Version ${status.live} is live.`;
  const on = { fit: "A fit runs.", queued: "Another waits its turn.", build: `Version ${status.candidate} is being built beside it.`, measure: `Version ${status.candidate} is being measured.`, gate: `Version ${status.candidate} waits for you.`, switch: `Version ${status.candidate} is about to take over.` }[status.step] ?? "";
  return `${live} ${on}`.trim();
}

function steps(view) {
  const { status } = view;
  const at = STEPS.findIndex(([step]) => step === status.step);
  const candidate = view.versions.find((each) => each.number === status.candidate);
  const told = {
    fit: candidate ? `${count(candidate.rows)} labels, ${seconds(candidate.duration_s)}` : status.fits[0]?.is_running ? fitTold(status.fits[0]) : "in the background",
    build: status.step === "build" ? (status.total ? `${count(status.total - status.left)} of ${rows(status.total)}` : `${rows(status.left)} left`) : "beside the live one",
    measure: "both, on the same rows", gate: status.step === "gate" ? "waits for a person" : status.is_asked ? "a person asked for it" : "better than the live one?", switch: "at once, for every reader",
  };
  return h("section", { class: "card pad", "aria-label": "The candidate's steps" }, h("ol", { class: "steps" }, STEPS.map(([step, name], i) => {
    const state = at < 0 ? "idle" : i < at ? "done" : i === at ? (step === "gate" ? "blocked" : "running") : "idle";
    const share = state === "done" ? 100 : state === "running" ? (step === "build" && status.total ? (100 * (status.total - status.left)) / status.total : step === "fit" && status.fits[0]?.progress?.total ? (100 * status.fits[0].progress.step) / status.fits[0].progress.total : 35) : state === "blocked" ? 100 : 0;
    return h("li", { "aria-current": i === at ? "step" : null }, h("div", { class: "head" }, sign(state), name, h("span", { class: "unseen" }, { done: "done", running: "under way", blocked: "waits for a person", idle: "" }[state])), h("span", { class: "note small" }, told[step]), h("div", { class: `bar ${state === "done" ? "green" : "violet"}` }, h("i", { style: { width: `${share}%` } })));
  })));
}

const fitTold = (fit) => (fit.progress ? `step ${count(fit.progress.step)}${fit.progress.total ? ` of ${count(fit.progress.total)}` : ""}` : "fits now");

/** The figure that is drawn: the one that most versions have, the first by name among those. */
function metricOf(versions) {
  const counts = new Map();
  for (const version of versions) for (const [name, each] of Object.entries(version.metrics)) if (typeof each === "number") counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]))[0]?.[0] ?? null;
}

const metricsOf = (versions) => [...new Set(versions.flatMap((each) => Object.entries(each.metrics).filter(([, shown]) => typeof shown === "number").map(([name]) => name)))];

/** A version's figure; what is known of the live one was often measured for its successor's gate. */
function measured(view, version, name) {
  if (typeof version.metrics[name] === "number") return version.metrics[name];
  const child = view.versions.find((each) => each.number > version.number && typeof each.live_metrics?.[name] === "number" && (each.parent === version.number || version.status === "live"));
  return child ? child.live_metrics[name] : null;
}

function chart(view) {
  const name = metricOf(view.versions);
  const isNarrow = matchMedia("(max-width: 899px)").matches;
  const shown = view.versions.slice(isNarrow ? -5 : -12);
  const W = isNarrow ? 380 : 720, H = name ? 210 : 110, left = 64, right = 44, bottom = 34;
  const points = shown.map((version, i) => ({ version, x: left + 26 + (shown.length === 1 ? (W - left - right) / 2 : (i * (W - left - right - 26)) / (shown.length - 1)), value: name ? measured(view, version, name) : null }));
  const values = points.map((each) => each.value).filter((each) => each !== null);
  const low = Math.min(...values), high = Math.max(...values), pad = (high - low || Math.abs(high) || 1) * 0.2;
  const y = (each) => (each === null || !values.length ? H - bottom - 24 : 24 + (1 - (each - low + pad) / (high - low + 2 * pad)) * (H - bottom - 30));
  const svg = s("svg", { class: "versions-chart", viewBox: `0 0 ${W} ${H}`, width: "100%", role: "img", "aria-label": name ? `${name} of each version; the table says the same` : "Versions; the table says the same" });
  if (values.length) for (const tick of [low, (low + high) / 2, high]) svg.append(s("path", { d: `M${left} ${y(tick)}H${W - right}`, stroke: "var(--line)" }), s("text", { x: left - 10, y: y(tick) + 4, "text-anchor": "end" }, figure(tick)));
  const live = points.find((each) => each.version.status === "live"), candidate = points.find((each) => each.version.status === "candidate");
  if (live && candidate && live.value !== null) svg.append(s("path", { d: `M${live.x} ${y(live.value)}H${W - right}`, class: "beat" }), s("text", { x: W - right, y: y(live.value) + 18, "text-anchor": "end", style: { fill: "var(--violet)" } }, `to beat: ${figure(live.value)}`));
  for (const each of points) {
    const parent = points.find((other) => other.version.number === each.version.parent);
    if (parent) svg.append(s("path", { d: `M${parent.x} ${y(parent.value)}L${each.x} ${y(each.value)}`, class: `lineage${["live", "retired"].includes(each.version.status) ? "" : " dash"}` }));
  }
  for (const each of points) svg.append(s("g", { transform: `translate(${each.x} ${y(each.value)})` }, diamond(each.version.status, each.version.number, each.version.status === "live" ? 13 : 11)), s("text", { x: each.x, y: H - 10, "text-anchor": "middle" }, each.version.status));
  return h("section", { class: "card" }, h("header", {}, h("h2", {}, name ? `${name} of each version` : "Versions"), h("span", { class: "note small", style: { "margin-left": "auto" } }, name ? "a line goes from parent to child" : "nothing was measured: an evaluate method does")), h("div", { style: { padding: "8px 12px" } }, svg));
}

function table(view) {
  const metrics = metricsOf(view.versions).slice(0, 3);
  return h("section", { class: "card scroll" }, h("table", {}, h("caption", { class: "unseen" }, `Versions of ${view.name}`),
    h("thead", {}, h("tr", {}, h("th", {}, "No."), h("th", {}, "Status"), ["From", "Labels", ...metrics, "Took"].map((each) => h("th", { class: "right" }, each)), h("th", {}, "Live, or why not"), h("th", {}, h("span", { class: "unseen" }, "What to do")))),
    h("tbody", {}, [...view.versions].reverse().map((each) => h("tr", { class: "pick", tabindex: 0, "data-version": each.number, "data-id": `version ${each.number}`, "aria-selected": String(view.chosen === each.number), on: { click: (event) => event.target.closest("button") || choose(view, each.number), keydown: (event) => event.key === "Enter" && event.target.matches("tr") && choose(view, each.number) } },
      h("td", {}, h("b", {}, each.number)), h("td", {}, h("span", { class: `tag ${{ live: "green", candidate: "violet", failed: "red" }[each.status] ?? ""}` }, each.status)),
      h("td", { class: "right" }, each.parent ?? "setup"), h("td", { class: "right" }, count(each.rows)), metrics.map((name) => h("td", { class: "right" }, figureOf(measured(view, each, name)))), h("td", { class: "right" }, seconds(each.duration_s)),
      h("td", { class: "wrap" }, why(each)), h("td", { class: "right stays" }, action(view, each)))))));
}

const figureOf = (each) => (each === null ? "–" : figure(each));

function why(version) {
  if (version.status === "live") return `since ${when(version.live_from ?? version.created_at)}`;
  if (version.reason && version.status !== "retired") return version.reason;
  if (version.live_from) return `${when(version.live_from)} until ${when(version.live_until)}`;
  return `made ${when(version.created_at)}`;
}

function action(view, version) {
  if (version.status === "live") return null;
  if (!version.is_kept) return h("span", { class: "note small" }, "state not kept");
  if (!view.app.may("admin")) return null;
  if (version.number === view.status.rollback_to) return h("button", { class: "button little", type: "button", "data-id": `back ${version.number}`, on: { click: () => rollback(view) } }, `Roll back to ${version.number}`);
  const isWaiting = version.status === "candidate" && view.status.step === "gate";
  return h("button", { class: `button little${isWaiting ? " first" : ""}`, type: "button", "data-id": `promote ${version.number}`, on: { click: () => promote(view, version) } }, version.status === "candidate" && !isWaiting ? "Promote anyway" : "Promote");
}

// -- two versions side by side --

function beside(view) {
  const { status } = view;
  const other = view.chosen && view.chosen !== status.live ? view.chosen : status.candidate ?? status.rollback_to;
  const a = view.versions.find((each) => each.number === status.live), b = view.versions.find((each) => each.number === other);
  const parts = [];
  if (a && b) {
    const names = metricsOf([a, b]);
    parts.push(h("div", { class: "span" }, h("h2", {}, `${a.number} beside ${b.number}`), h("button", { class: "button little", type: "button", "data-id": "compare", on: { click: () => compare(view, a.number, b.number) } }, "Compare answers")));
    if (names.length) parts.push(h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, ""), h("th", { class: "right" }, `${a.number} ${a.status}`), h("th", { class: "right" }, `${b.number} ${b.status}`), h("th", { class: "right" }, "change"))),
      h("tbody", {}, names.map((name) => { const x = b.live_metrics?.[name] ?? measured(view, a, name), y = measured(view, b, name); return h("tr", {}, h("td", {}, name), h("td", { class: "right" }, figureOf(x)), h("td", { class: "right" }, figureOf(y)), h("td", { class: "right" }, typeof x === "number" && typeof y === "number" ? `${y >= x ? "+" : "−"}${figure(Math.abs(y - x))}` : "–")); })))));
    if (view.compared) parts.push(h("hr", { style: { border: 0, "border-top": "1px solid var(--line)" } }), answers(view, view.compared));
  } else parts.push(h("h2", {}, "Side by side"), h("p", { class: "note" }, "With a second version, its figures and answers stand here beside the live one's."));
  const of = view.labelsOf;
  parts.push(h("hr", { style: { border: 0, "border-top": "1px solid var(--line)" } }), h("h2", {}, of === null ? "Learned from" : `Version ${of} learned from`),
    view.labels?.length ? [h("p", { class: "note small" }, `${view.labels.length === 24 ? "The last 24" : rows(view.labels.length).replace("row", "label")}, those of its parents among them. Each once.`), h("div", { class: "tiles" }, view.labels.map((each) => tile(view, each.table, each.id, each.pages, labelText(view, each))))] : h("p", { class: "note" }, "No labels yet: it is what ", h("code", {}, "setup"), " made."));
  return h("section", { class: "card pad", style: { display: "flex", "flex-direction": "column", gap: "12px" }, "aria-label": "Side by side" }, parts);
}

function labelText(view, label) {
  const fit = view.app.pipeline.fits.find((each) => each.name === label.fit);
  const key = fit?.on[0]?.split(".")[1];
  return key ? `${key} ${value(label.row[key])}` : "";
}

function tile(view, table, id, pages, note, isOther) {
  const image = view.app.tables[table]?.keys.find((each) => each.type === "bytes" && !each.is_hidden);
  const told = view.app.tables[table]?.keys.find((each) => each.type === "str" && each.name !== "id" && !each.is_hidden);
  return link(`/rows/${part(table)}?row=${part(JSON.stringify({ id, pages: pages ?? {} }))}`, { class: `tile${isOther ? " is-other" : ""}`, title: `${table} ${rowName(id, pages ?? {})}` }, image ? thumb(table, image, id, pages ?? {}, "thumb tile") : null, h("span", {}, rowName(id, pages ?? {})), note ? h("span", { class: "note" }, note) : null);
}

function answers(view, found) {
  if (found.error) return h("p", { class: "failed-note" }, found.error);
  if (!found.of.length) return h("p", { class: "note" }, "It keeps no outputs by version, so there is nothing to lay side by side.");
  const ids = [...new Set(found.of.map((each) => String(each.id)))];
  return h("div", { style: { display: "flex", "flex-direction": "column", gap: "12px" } }, h("p", { class: "note small" }, `The same rows asked of both, by ${found.keys[0]}. Framed: only this version's.`), ids.map((id) => {
    const mine = found.of.filter((each) => String(each.id) === id);
    return h("div", {}, h("h3", { style: { "margin-bottom": "6px" } }, `nearest to ${found.table} ${id}`), h("div", { class: "pair" }, mine.map((each) => {
      const others = mine.find((other) => other !== each);
      return [h("span", { class: "tag violet" }, each.version), each.hits ? h("div", { class: "tiles" }, each.hits.length ? each.hits.map((hit) => tile(view, found.table, hit.id, hit.pages, figure(hit.score), others?.hits && !others.hits.some((other) => other.id === hit.id))) : h("span", { class: "note" }, "nothing")) : h("span", { class: "value" }, value(each.value) || "–")];
    })));
  }));
}

async function compare(view, a, b) {
  const isLast = asking(view);
  const found = await get(`/v1/models/${part(view.name)}/compare`, { a, b }).catch((error) => ({ error: error.message }));
  if (!isLast()) return;
  view.compared = found;
  draw(view);
}

async function choose(view, number) {
  view.chosen = view.chosen === number ? null : number;
  view.compared = null;
  asking(view);
  view.app.keep({ version: view.chosen });
  draw(view);
  await labels(view);
}

// -- what changes things --

async function steer(view, path, body, told) {
  try {
    await post(`/v1/models/${part(view.name)}/${path}`, body);
    toast(told);
    await read(view);
  } catch (error) {
    toast(error.message);
  }
}

async function promote(view, version) {
  if (await sure(`Promote version ${version.number}?`, `It goes live whatever its gate says, once its outputs are built; until then version ${view.status.live ?? "–"} answers. The switch is at once, for every reader, and can be gone back from.`, "Promote")) await steer(view, "promote", { version: version.number }, `Version ${version.number} goes live once it is built.`);
}

async function rollback(view) {
  const to = view.status.rollback_to;
  if (to === null) return;
  if (await sure(`Roll back to ${to}?`, `Version ${view.status.live} is retired, and can be promoted again. What is kept of ${to} serves at once; only rows added since are computed.`, "Roll back")) await steer(view, "rollback", {}, `Version ${to} goes live again.`);
}

async function fitNow(view) {
  const n = view.status.fits.reduce((sum, each) => sum + each.labels, 0);
  if (await sure("Fit now?", `${count(n)} labels were made since the last fit. It runs in the background, in a process of its own; the gate decides what becomes of the new version.`, "Fit")) await steer(view, "fit", {}, "A fit is asked for.");
}

function key(view, event) {
  const lines = [...view.body.querySelectorAll("tr[data-version]")];
  if (["j", "k", "ArrowDown", "ArrowUp"].includes(event.key) && lines.length) {
    const at = lines.indexOf(document.activeElement), isDown = event.key === "j" || event.key === "ArrowDown";
    lines[at < 0 ? 0 : Math.min(lines.length - 1, Math.max(0, at + (isDown ? 1 : -1)))].focus();
    return true;
  }
  const focused = Number(document.activeElement?.dataset?.version) || view.chosen || view.status.candidate;
  const version = view.versions.find((each) => each.number === focused);
  if (event.key === "x" && version && view.status.live !== null) { compare(view, view.status.live, version.number === view.status.live ? view.status.rollback_to ?? version.number : version.number); return true; }
  if (!view.app.may("admin")) return false;
  if (event.key === "P" && event.shiftKey && version?.is_kept && version.status !== "live") { promote(view, version); return true; }
  if (event.key === "R" && event.shiftKey && view.status.rollback_to !== null) { rollback(view); return true; }
  if (event.key === "F" && event.shiftKey && view.status.fits.length) { fitNow(view); return true; }
  return false;
}
