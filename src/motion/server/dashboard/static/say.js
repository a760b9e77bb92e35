// What the store is doing and what it needs, in plain words.
import { h, link } from "./dom.js";
import { count, rows } from "./format.js";

/** What a person would have to look at. */
export function needs(now) {
  const triggers = Object.entries(now.status.triggers);
  const failed = triggers.filter(([, each]) => each.tasks.dead).map(([name, each]) => [name, each.tasks.dead]);
  return {
    failed: failed.reduce((sum, [, n]) => sum + n, 0),
    failedOf: failed,
    stale: triggers.filter(([, each]) => each.stale).map(([name, each]) => [name, each.stale]),
    orphaned: now.status.orphaned,
    waiting: Object.values(now.models).filter((each) => each.step === "gate"),
    building: Object.values(now.models).filter((each) => each.step === "build"),
    codeless: triggers.filter(([, each]) => !each.has_code && each.rows > 0).map(([name]) => name),
  };
}

export function work(now) {
  return Object.values(now.status.triggers).reduce((sum, each) => sum + each.rows, 0);
}

/** The sentence at the top, what stands behind it, and the one action that follows. */
export function sentence(now) {
  const found = needs(now), todo = work(now);
  const kinds = [found.failed > 0, found.stale.length > 0, found.orphaned > 0, found.waiting.length > 0, found.codeless.length > 0].filter(Boolean).length;
  const doing = todo || now.status.fits || found.building.length ? "Working" : "At rest";
  const what = kinds === 0 ? (todo ? "Nothing needs you." : "All is done.") : kinds === 1 ? "One thing needs you." : `${kinds} things need you.`;
  const told = [];
  for (const [name, n] of found.failedOf.slice(0, 2)) told.push(`${rows(n)} of `, h("b", {}, name), " failed. ");
  for (const [name, n] of found.stale.slice(0, 2)) told.push(`${rows(n)} of `, h("b", {}, name), n === 1 ? " is stale. " : " are stale. ");
  for (const each of found.waiting) told.push(`Version ${each.candidate} of `, h("b", {}, each.name), " waits for you. ");
  for (const each of found.building) told.push(`Version ${each.candidate} of `, h("b", {}, each.name), " is being built beside the live one; searches do not wait for it. ");
  for (const name of found.codeless.slice(0, 1)) told.push("No code for ", h("b", {}, name), " in this process: another one has to run it. ");
  if (found.orphaned) told.push(`${count(found.orphaned)} tasks are of triggers that are gone. `);
  if (!told.length) told.push(todo ? `${rows(todo)} to do.` : `Last change ${count(now.status.last_change)}.`);
  let action = null;
  if (found.failed) action = link("/problems", { class: "button" }, `Look at ${found.failed === 1 ? "the row" : `the ${rows(found.failed)}`}`);
  else if (found.waiting.length) action = link(`/models/${encodeURIComponent(found.waiting[0].name)}`, { class: "button" }, `Look at version ${found.waiting[0].candidate}`);
  else if (found.stale.length) action = link("/problems", { class: "button" }, "Look at the stale rows");
  return { title: `${doing}. ${what}`, told, action };
}

export function heading(title, told, actions, trail) {
  return h("section", { class: "say" },
    h("div", {}, trail ? h("p", { class: "trail" }, trail) : null, h("h1", {}, title), told ? h("p", {}, told) : null),
    actions ? h("div", { class: "actions" }, actions) : null);
}
