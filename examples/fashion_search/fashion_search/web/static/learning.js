// Learning: what people said, the fit, the gate and the switch, in a shopper's words.

import { $, h, icon } from "./dom.js";

let now = null;
const listeners = [];

export const onLearning = (listener) => listeners.push(listener);
export const liveVersion = () => now?.live ?? null;

let events = null;

export function follow() {
  listen();
  // A tab that is not looked at keeps no connection: a browser has six for a site.
  document.addEventListener("visibilitychange", () => (document.hidden ? events.close() : listen()));
}

function listen() {
  events?.close();
  events = new EventSource("/api/learning/events");
  events.addEventListener("learning", (event) => {
    now = JSON.parse(event.data);
    $("learning").classList.remove("silent");
    draw();
    for (const each of listeners) each(now);
  });
  // No frozen number looks alive.
  events.onerror = () => $("learning").classList.add("silent");
}

function draw() {
  const left = Math.max(0, now.wanted - now.labels), isBusy = now.step !== null;
  const meter = h("div", { class: "meter", role: "img", "aria-label": `${now.labels} of ${now.wanted} likes and dislikes` },
    ...Array.from({ length: now.wanted }, (_, place) => h("i", { class: place < now.labels ? "yes" : "" })));
  $("learning").replaceChildren(
    h("div", { class: "title" }, h("h2", {}, "It learns from you"), h("span", { class: "version" }, `Version ${now.live}`)),
    h("p", {}, sentence(left)),
    meter,
    h("p", { class: "small" }, `${Math.min(now.labels, now.wanted)} of ${now.wanted} likes and dislikes`),
    steps(),
    became() ?? "",
    h("p", { class: "small" }, "Your own taste counts at once, for you alone. The version is everybody's."),
  );
  pill(left, isBusy);
}

function sentence(left) {
  if (now.step === "fit") return now.by_itself ? "It learns what this shop's pictures and titles have to do with each other." : "A new version is trained on what you and others like.";
  if (now.step === "build") return "All products are looked at again, with the new eyes. The old ones still answer.";
  if (now.step !== null) return "Is the new version better? That is being measured.";
  return left ? `After ${left} more ${left === 1 ? "like or dislike" : "likes or dislikes"} a new version is trained.` : "A new version will be trained.";
}

const ORDER = { queued: 0, fit: 0, build: 1, measure: 2, gate: 2, switch: 3 };

function steps() {
  const at = now.step === null ? -1 : ORDER[now.step];
  const next = now.newest && now.newest.number > now.live && now.step !== null && now.step !== "fit" ? now.newest.number : (now.newest?.number ?? 0) + 1;
  const share = now.done && now.done[1] ? `${Math.round(100 * now.done[0] / now.done[1])} %` : "";
  const lines = [
    [`Train version ${next}`, at === 0 ? share : ""],
    ["Look at all products again", at === 1 && now.of ? `${now.of - now.left} of ${now.of}` : now.products.toLocaleString("en")],
    ["Is it better?", `else ${now.live} stays`],
    ["Switch", "nothing to reload"],
  ];
  return h("ol", {},
    h("li", {}, icon("done"), `Version ${now.live} answers`, h("span", {}, since(now.live_from))),
    lines.map(([what, note], place) =>
      h("li", { class: place === at ? "now" : place < at ? "" : "then", "aria-current": place === at ? "step" : null },
        icon(place < at ? "done" : place === at ? "now" : "then"), what, h("span", {}, note))));
}

function became() {
  const last = now.newest;
  if (!last || last.number === 1 || last.gain === null || last.gain === undefined) return null;
  const tenths = (value) => Math.round(1000 * value) / 10 + 0; // never "-0"
  const points = (value) => `${tenths(value) < 0 ? "−" : "+"}${Math.abs(tenths(value)).toFixed(1)}`;
  const told = `${Math.abs(tenths(last.gain)).toFixed(1)} points ${last.gain < 0 ? "worse" : "better"}`;
  const measured = last.pairs ? `On ${last.pairs} searches with a known answer it was ${told} (95 % sure: ${points(last.low)} to ${points(last.high)}).` : "";
  const byLikes = last.liked_low > 0 ? `It puts what people liked above what they did not more often (95 % sure: ${points(last.liked_low)} to ${points(last.liked_high)} points).` : "";
  if (last.status === "live") return h("p", { class: "became yes" }, `Version ${last.number} is better, so it answers now. ${byLikes || measured}`);
  if (last.status === "refused") return h("p", { class: "became" }, `Version ${last.number} was not better beyond chance, so ${now.live} stays. ${measured}`);
  return null;
}

function pill(left, isBusy) {
  $("pill").replaceChildren(isBusy ? "A new version is being made" : `${left} more until it learns`, h("span", { class: "version" }, `Version ${now.live}`));
}

function since(text) {
  if (!text) return "";
  const minutes = Math.floor((Date.now() - new Date(text)) / 60000);
  if (minutes < 1) return "since now";
  if (minutes < 60) return `for ${minutes} min`;
  return `since ${new Date(text).toLocaleDateString("en", { day: "numeric", month: "short" })}`;
}
