// Problems: what needs me, most urgent first.
import { asking, get, part, post } from "./api.js";
import { sure } from "./dialogs.js";
import { h, link, put, speak, toast } from "./dom.js";
import { count, cut, parseRow, rows, seconds, when } from "./format.js";
import { sign } from "./icons.js";
import { heading, needs } from "./say.js";

export const KEYS = [["Space", "choose"], ["Shift Y", "try again what is chosen"]];

export async function open(place, app) {
  const view = { app, found: null, now: null, plans: {}, chosen: new Set(), opened: new Set(), letters: {}, wanted: app.params().get("plan") };
  view.top = h("div", {}, heading("Problems", "Looking…"));
  view.body = h("div", { class: "body" });
  put(place, view.top, view.body);
  await read(view);
  return { news: (now) => news(view, now), key: (event) => key(view, event) };
}

async function read(view) {
  const isLast = asking(view);
  const found = await get("/v1/problems");
  if (!isLast()) return;
  view.found = found;
  if (view.found.groups.length && !view.opened.size) view.opened.add(groupName(view.found.groups[0]));
  if (view.now) draw(view);
}

function news(view, now) {
  const before = view.now && needs(view.now).failed;
  view.now = now;
  const failed = needs(now).failed;
  if (before !== null && before !== undefined && failed !== before && !view.isAsking) {
    view.isAsking = true;
    read(view).finally(() => (view.isAsking = false));
  }
  if (view.wanted && !view.plans[view.wanted]) { ask(view, view.wanted); }
  draw(view);
}

/** What the page is drawn from: where nothing of it changed, it is left as it is. */
const signature = (view) => JSON.stringify([view.now.status.backfills, view.now.status.discarded, view.now.status.called_again, needs(view.now), view.found, view.plans, [...view.chosen], [...view.opened], Math.floor(Date.now() / 60000)]);

const groupName = (group) => `${group.trigger}\n${group.error}`;

function draw(view) {
  const drawn = signature(view);
  if (drawn === view.drawn) return;
  view.drawn = drawn;
  const { now } = view, found = needs(now);
  const nothing = !found.failed && !found.stale.length && !found.orphaned && !Object.keys(now.status.discarded).length && !Object.keys(now.status.called_again).length && !now.status.backfills.length;
  const told = found.failed ? `${rows(found.failed)} failed` : "No row failed";
  put(view.top, heading(nothing ? "Nothing needs you." : told, nothing ? "Rows that triggers give up on, stale rows and work in bulk are shown here." : view.found.told === view.found.limit ? `The first ${count(view.found.limit)} are told here.` : null,
    found.failed && view.app.may("write") ? h("button", { class: "button", type: "button", "data-id": "retry-all", on: { click: () => retryAll(view, found.failed) } }, `Try all ${count(found.failed)} again`) : null));
  put(view.body,
    view.found.groups.map((group) => groupCard(view, group)),
    found.stale.map(([name, n]) => staleCard(view, name, n)),
    now.status.backfills.map((each) => backfillCard(view, each)),
    found.orphaned ? h("section", { class: "card pad" }, h("h2", {}, `${count(found.orphaned)} tasks are of triggers that are gone`), h("p", { class: "note" }, "They are kept for the triggers' return, and are no work until then. ", h("code", {}, "store.drop()"), " drops them.")) : null,
    Object.entries(now.status.discarded).map(([name, n]) => h("section", { class: "card pad" }, h("h2", {}, `${name}: ${rows(n)} discarded, ever`), h("p", { class: "note" }, "Its ", h("code", {}, "discard_after"), " or ", h("code", {}, "discard_beyond"), " dropped them: their outputs stay as they were."))),
    Object.entries(now.status.called_again).map(([name, n]) => h("section", { class: "card pad" }, h("h2", {}, `${name}: ${rows(n)} called again, ever`), h("p", { class: "note" }, "What they had read through the store had changed before they could commit."))));
}

function groupCard(view, group) {
  const name = groupName(group), isOpen = view.opened.has(name), all = group.letters.map((each) => each.task);
  const isChosen = all.every((task) => view.chosen.has(task));
  return h("section", { class: "card", "data-group": name },
    h("header", {},
      h("input", { type: "checkbox", "aria-label": `Choose ${rows(group.rows)} of ${group.trigger}`, checked: isChosen, "data-id": `choose ${name}`, style: { width: "18px", height: "18px" }, on: { change: () => { all.forEach((task) => (isChosen ? view.chosen.delete(task) : view.chosen.add(task))); draw(view); } } }),
      sign("failed"), h("div", { style: { "min-width": 0, flex: 1 } }, h("h2", {}, `${group.trigger}, ${rows(group.rows)}`), h("p", { class: "mono failed-note", style: { "overflow-wrap": "anywhere" } }, group.error)),
      h("span", { class: "note small" }, group.last ? `last ${when(group.last)}` : ""),
      h("button", { class: "button little", type: "button", "aria-expanded": String(isOpen), "data-id": `open ${name}`, on: { click: () => { isOpen ? view.opened.delete(name) : view.opened.add(name); draw(view); } } }, isOpen ? "Fold" : "Unfold"),
      view.app.may("write") ? h("button", { class: "button first little", type: "button", "data-id": `retry ${name}`, on: { click: () => retry(view, all, group.trigger) } }, "Try again") : null),
    isOpen ? h("div", { style: { padding: "12px 16px" } }, detail(view, group.example), h("div", { class: "scroll", style: { "margin-top": "10px", "max-height": "360px", overflow: "auto" } }, h("table", {},
      h("thead", {}, h("tr", {}, ["", "Row", "Given up", "Tries", "Change", ""].map((each) => h("th", { class: each === "Tries" ? "right" : "" }, each)))),
      h("tbody", {}, group.letters.slice(0, 100).map((each) => h("tr", {},
        h("td", {}, h("input", { type: "checkbox", "aria-label": `Choose ${each.row}`, checked: view.chosen.has(each.task), "data-id": `choose ${each.task}`, on: { change: () => { view.chosen.has(each.task) ? view.chosen.delete(each.task) : view.chosen.add(each.task); draw(view); } } })),
        h("td", { class: "mono cut" }, rowLink(group.table, each.row)), h("td", {}, when(each.at)), h("td", { class: "right" }, each.attempts), h("td", {}, link(`/changes/${each.change}`, { style: { "text-decoration": "underline" } }, count(each.change))),
        h("td", { class: "stays" }, view.app.may("write") ? h("button", { class: "button little", type: "button", "data-id": `retry ${each.task}`, on: { click: () => retry(view, [each.task], group.trigger) } }, "Try again") : null)))))),
      group.rows > 100 ? h("p", { class: "note small" }, `100 of ${rows(group.rows)} drawn`) : null) : null);
}

function rowLink(table, text) {
  const name = parseRow(text);
  return name ? link(`/rows/${part(table)}?row=${part(JSON.stringify(name))}`, { style: { "text-decoration": "underline" } }, text) : text;
}

function detail(view, shown) {
  const inputs = shown.inputs === undefined ? null : shown.inputs;
  return [
    h("p", { class: "note small", style: { "margin-bottom": "6px" } }, "For example ", h("span", { class: "mono" }, shown.row), `, after ${shown.attempts} ${shown.attempts === 1 ? "try" : "tries"}`, view.app.may("admin") ? "" : "; inputs and traceback are shown to admins"),
    inputs ? h("pre", { style: { "margin-bottom": "8px" } }, cut(inputs, 2000)) : null,
    h("pre", {}, shown.error.trimEnd()),
  ];
}

/** One dead letter with its inputs and traceback, as other pages show it. */
export function letter(app, each, done) {
  return h("section", { class: "card" },
    h("header", {}, sign("failed"), h("h2", { style: { flex: 1 } }, `${each.trigger} gave up on ${each.row}`),
      h("button", { class: "button little", type: "button", on: { click: () => navigator.clipboard?.writeText(`${each.inputs ?? ""}\n${each.error}`).then(() => toast("Copied.")) } }, "Copy"),
      app.may("write") ? h("button", { class: "button first little", type: "button", "data-id": `retry ${each.task}`, on: { click: async () => (await tryAgain([each.task], each.trigger)) && done() } }, "Try again") : null),
    h("div", { style: { padding: "12px 16px" } }, each.inputs ? h("pre", { style: { "margin-bottom": "8px" } }, cut(each.inputs, 2000)) : null, h("pre", {}, each.error.trimEnd())));
}

async function tryAgain(tasks, trigger) {
  const what = `${rows(tasks.length)}${trigger ? ` of ${trigger}` : ""}`;
  if (!(await sure(`Try ${what} again?`, `The function is called again with the same inputs. What fails again comes back here.`, "Try again"))) return false;
  try {
    const { rows: n } = await post("/v1/problems/retry", { tasks });
    toast(n ? `${rows(n)} ${n === 1 ? "is" : "are"} tried again.` : "They were tried again, or superseded, already.");
    speak(`${rows(n)} tried again`);
    return true;
  } catch (error) {
    toast(error.message);
    return false;
  }
}

async function retry(view, tasks, trigger) {
  if (!(await tryAgain(tasks, trigger))) return;
  tasks.forEach((task) => view.chosen.delete(task));
  await read(view);
}

async function retryAll(view, n) {
  if (!(await sure(`Try all ${rows(n)} again?`, "Each function is called again with the same inputs, all triggers alike. What fails again comes back here.", "Try again"))) return;
  try {
    const told = await post("/v1/retry", {});
    toast(`${rows(told.rows)} are tried again.`);
  } catch (error) {
    toast(error.message);
  }
  await read(view);
}

// -- stale rows --

async function ask(view, name) {
  view.plans[name] = { isAsking: true };
  try {
    view.plans[name] = await get("/v1/plan", { trigger: name });
  } catch (error) {
    view.plans[name] = { error: error.message };
  }
  draw(view);
}

function staleCard(view, name, n) {
  const plan = view.plans[name];
  const told = plan?.error ? h("p", { class: "failed-note" }, plan.error)
    : plan && !plan.isAsking ? h("p", { class: "note" }, `A backfill would make ${rows(plan.stale + plan.missing)} again (${count(plan.stale)} stale, ${count(plan.missing)} missing), about ${seconds(plan.seconds)} of calls, below live work. ${count(plan.current)} are current${plan.by_users ? `; ${count(plan.by_users)} values that users gave stay` : ""}.`)
      : h("p", { class: "note" }, "Other code made them. The old values stay until they are made again.");
  const total = plan && plan.stale !== undefined ? plan.stale + plan.missing : n;
  return h("section", { class: "card" }, h("header", {}, sign("stale"), h("div", { style: { flex: 1 } }, h("h2", {}, `${name}, ${rows(n)} stale`), told),
    plan && !plan.error ? null : h("button", { class: "button little", type: "button", "data-id": `plan ${name}`, on: { click: () => ask(view, name) } }, "Plan"),
    view.app.may("admin") ? h("button", { class: "button first little", type: "button", "data-id": `remake ${name}`, disabled: view.now.status.backfills.some((each) => each.trigger === name), on: { click: () => backfill(view, name, total, plan?.seconds) } }, `Remake ${rows(total)}`) : null));
}

async function backfill(view, name, n, takes) {
  if (!(await sure(`Remake ${rows(n)} of ${name}?`, `${takes ? `About ${seconds(takes)} of calls. ` : ""}It goes on below live work; old values stay until new ones are there, and values that users gave are left alone.`, "Remake"))) return;
  try {
    const told = await post("/v1/backfill", { trigger: name });
    toast(`Change ${count(told.change)} makes ${rows(told.count)} again.`);
    delete view.plans[name];
  } catch (error) {
    toast(error.message);
  }
}

function backfillCard(view, each) {
  const done = each.total - each.remaining;
  return h("section", { class: "card pad" }, h("div", { class: "span" }, h("h2", {}, `${each.kind} of ${each.trigger}`), each.kind === "backfill" && view.app.may("write") ? h("button", { class: "button little", type: "button", "data-id": `cancel ${each.change}`, on: { click: () => stop(each.change) } }, "Cancel") : null),
    h("p", { class: "note small", style: { margin: "4px 0 8px" } }, `It has come to ${count(done)} of ${rows(each.total)}. Live work goes first.`), h("div", { class: `bar${each.kind === "build" ? " violet" : ""}` }, h("i", { style: { width: `${each.total ? (100 * done) / each.total : 0}%` } })));
}

async function stop(key) {
  if (!(await sure(`Cancel change ${count(key)}?`, "What is done stays; the other rows are stale as before.", "Cancel it"))) return;
  try {
    await post(`/v1/changes/${key}/cancel`);
    toast("Cancelled; what was done stays.");
  } catch (error) {
    toast(error.message);
  }
}

function key(view, event) {
  if (event.key === "Y" && event.shiftKey && view.chosen.size && view.app.may("write")) { retry(view, [...view.chosen], null); return true; }
  const boxes = [...view.body.querySelectorAll("input[type=checkbox]")];
  if (["j", "k", "ArrowDown", "ArrowUp"].includes(event.key) && boxes.length) {
    const at = boxes.indexOf(document.activeElement), isDown = event.key === "j" || event.key === "ArrowDown";
    boxes[at < 0 ? 0 : Math.min(boxes.length - 1, Math.max(0, at + (isDown ? 1 : -1)))].focus();
    return true;
  }
  return false;
}
