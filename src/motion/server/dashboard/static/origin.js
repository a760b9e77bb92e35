// Where a value came from, back to what was given from outside.
import { asking, get, part } from "./api.js";
import { h, link, put } from "./dom.js";
import { count, cut, rowName, seconds, value, when } from "./format.js";

const DEEPEST = 12;

export async function origin(place, table, id, pages, key) {
  put(place, h("p", { class: "note small" }, "Looking…"));
  const isLast = asking(place);
  try {
    const found = await get(`/v1/tables/${part(table)}/explain`, { id, ...pages, key });
    if (!isLast()) return;
    put(place, h("div", { class: "trail" }, "Where it came from"), h("h2", { style: { margin: "2px 0 10px" } }, `${table}.${key} of ${rowName(id, pages)}`),
      h("ul", { class: "origin" }, told(found, 0)), summary(found));
  } catch (error) {
    if (isLast()) put(place, h("p", { class: "failed-note" }, error.message));
  }
}

// What is told beneath a value: its inputs, or, of one that has changed, what it is now.
const beneath = (found) => (found.now ? [found.now] : found.inputs);

function told(found, depth, isNow = false) {
  const facts = [];
  if (found.now) facts.push("what the value was made from");
  else if (!found.is_row) facts.push("there is no such row");
  else if (found.made_by === null) facts.push(found.value === null ? "not set" : "given from outside");
  else facts.push(`made by ${found.made_by}`);
  if (found.version !== null) facts.push(`state version ${found.version}`);
  if (found.labels.length) facts.push(`learned from ids ${found.labels.slice(0, 5).map((each) => each.id).join(", ")}${found.labels.length > 5 ? " and more" : ""}`);
  if (found.at) facts.push(when(found.at));
  if (found.seconds !== null) facts.push(`${seconds(found.seconds)} a call`);
  if (found.fingerprint) facts.push(`code ${found.fingerprint.slice(0, 8)}`);
  const isStale = !found.is_current || found.is_due || found.has_changed;
  const marks = [
    found.is_current ? null : h("span", { class: "tag amber" }, found.was_away ? "stale: rows were written without its trigger" : "stale: other code now"),
    found.is_due ? h("span", { class: "tag amber" }, "to be made again") : null,
    found.has_changed ? h("span", { class: "tag amber" }, "changed since") : null,
  ];
  const inputs = depth < DEEPEST ? beneath(found) : [];
  return h("li", { class: found.made_by === null && !found.now ? "given" : isStale ? "stale" : "" },
    h("div", { class: "mono note" }, depth ? `${found.table}.${found.key}${isNow ? " now" : ""}` : found.key),
    h("div", { class: "value" }, cut(value(found.value), 300) || "–"),
    h("div", { class: "note small" }, facts.join(", "), found.change !== null ? [", ", link(`/changes/${found.change}`, { style: { "text-decoration": "underline" } }, `change ${count(found.change)}`)] : null),
    h("div", { class: "tags" }, marks),
    inputs.length ? h("ul", {}, inputs.map((each) => told(each, depth + 1, found.now !== null))) : null);
}

function summary(found) {
  const all = [];
  const walk = (each) => { all.push(each); beneath(each).forEach(walk); };
  walk(found);
  const stale = all.filter((each) => !each.is_current || each.is_due || each.has_changed).length;
  return h("p", { class: "note small", style: { "margin-top": "8px" } }, stale ? `${stale} of ${all.length} are not as they would be made now.` : "All of it is current: same code and same live version as now.", " Times are right to 100 ms, to 10 s after an hour.");
}
