// The page: its address says what is asked, and what is asked is answered while the answer is made.

import { card, skeleton } from "./cards.js";
import { $, asked, counted, h, sent } from "./dom.js";
import { follow, liveVersion, onLearning } from "./learning.js";

const OCCASIONS = ["what to wear to a beach wedding", "job interview outfit for a man", "a weekend in the mountains", "red dress for a party", "going for a run", "rainy day in the city"];
const SHOPS = { NORDSTROM: "Nordstrom", REVOLVE: "Revolve", BLOOMINGDALES: "Bloomingdale's" };
const KEPT = 8; // places that are kept for an idea's pictures
const GREY_AFTER_MS = 300;

let stock = { kinds: [], colours: [], products: 0 };
let state = {};
let events = null;
let round = 0; // what comes of an earlier question is not shown
let answeredBy = null;
let picture = null;
const ideas = new Map();

// -- the address --

function read() {
  const given = new URLSearchParams(location.search);
  return {
    q: given.get("q") ?? "", like: given.get("like"), liked: given.has("liked"), picture: given.has("picture"),
    retailer: given.get("shop"), colour: given.get("colour"), kind: given.get("kind"),
  };
}

function written(wanted) {
  const given = new URLSearchParams();
  if (wanted.q) given.set("q", wanted.q);
  if (wanted.like) given.set("like", wanted.like);
  if (wanted.liked) given.set("liked", "");
  if (wanted.picture) given.set("picture", "");
  for (const [name, key] of [["shop", "retailer"], ["colour", "colour"], ["kind", "kind"]]) if (wanted[key]) given.set(name, wanted[key]);
  const text = given.toString();
  return text ? `/?${text}` : "/";
}

function go(wanted) {
  history.pushState(null, "", written({ ...blank(), ...wanted }));
  answer();
}

const blank = () => ({ q: "", like: null, liked: false, picture: false, retailer: null, colour: null, kind: null });
const narrowed = () => Object.fromEntries(["retailer", "colour", "kind"].filter((key) => state[key]).map((key) => [key, state[key]]));

// -- an answer --

async function answer() {
  const mine = ++round;
  events?.close();
  ideas.clear();
  state = read();
  answeredBy = null;
  $("switched").replaceChildren();
  $("understood").textContent = "";
  say("");
  $("q").value = state.q;
  filters();
  document.title = state.q ? `${state.q} · Fashion search` : "Fashion search";
  try {
    if (state.q) await words(mine);
    else if (state.like) await looks(mine, "Looks like", () => sent("/api/like-this", { product: Number(state.like), ...narrowed() }));
    else if (state.picture && picture) await looks(mine, "Looks like your picture", likePicture);
    else if (state.liked) await mineOnly(mine);
    else welcome();
  } catch (error) {
    if (mine === round) failed(error.message);
  }
}

async function words(mine) {
  busy(true);
  $("main").replaceChildren();
  const grey = setTimeout(() => { if (mine === round && !ideas.size) idea(-1, "Looking"); }, GREY_AFTER_MS);
  const begun = await sent("/api/questions", { query: state.q, ...narrowed() });
  if (mine !== round) return clearTimeout(grey);
  $("understood").textContent = begun.understood ? `Understood: ${begun.understood}` : "";
  events = new EventSource(`/api/questions/${begun.id}/events?change=${begun.change}`);
  const on = (name, listener) => events.addEventListener(name, (event) => { if (mine === round) listener(JSON.parse(event.data)); });
  on("idea", (told) => { clearTimeout(grey); forget(-1); idea(told.idea, told.text, told.is_title); $("main").append(more); count(); });
  on("found", found);
  on("end", (told) => { clearTimeout(grey); events.close(); forget(-1); ended(told); });
  events.onerror = () => { if (mine === round && events.readyState !== EventSource.CLOSED) say("The connection was lost; it is tried again."); };
}

// Beneath the ideas that are there, as long as more may come.
const more = h("p", { class: "more-comes", "aria-hidden": "true" }, h("i"), h("i"), h("i"), "Still looking");

function idea(number, text, isTitle = false) {
  if (ideas.has(number)) return ideas.get(number);
  const row = h("div", { class: "row" }, Array.from({ length: isTitle ? 0 : KEPT }, skeleton));
  const note = h("span", { class: "note" }, number < 0 || isTitle ? "" : "looking");
  const section = h("section", { class: "idea", "aria-label": text },
    h("header", {}, number > 0 ? h("span", { class: "number", "aria-hidden": "true" }, String(number)) : "", h("h2", {}, text), note), row);
  const made = { number, text, isTitle, section, row, note, found: 0 };
  ideas.set(number, made);
  // The query itself first, then the ideas in their order, whichever comes first.
  const after = [...ideas.values()].filter((each) => each.number > number).sort((a, b) => a.number - b.number)[0];
  $("main").insertBefore(section, after?.section ?? null);
  return made;
}

function forget(number) {
  ideas.get(number)?.section.remove();
  ideas.delete(number);
}

function found(told) {
  const of = idea(told.idea, told.text ?? "");
  const place = of.row.children[told.place];
  const made = card(told.card, told.answer, likeThis);
  if (place && place.classList.contains("empty")) place.replaceWith(made);
  else if (!of.row.querySelector(`[data-product="${told.card.id}"]`)) of.row.append(made);
  else return;
  of.found += 1;
  of.note.textContent = counted(of.found, "picture", "pictures");
  answeredBy = told.version ?? answeredBy;
  count();
}

function ended(told) {
  busy(false);
  more.remove();
  for (const each of ideas.values()) {
    for (const empty of each.row.querySelectorAll(".empty")) empty.remove();
    if (!each.found) {
      each.note.textContent = "";
      if (each.isTitle) continue;
      each.row.replaceWith(h("p", { class: "none" }, told.failed ? "This idea could not be looked for. The others are not touched by it." : nothing(each.text)));
    }
  }
  if (told.foreign) return refused("This shop reads English only. Ask in English.");
  const all = [...ideas.values()].reduce((sum, each) => sum + each.found, 0);
  if (!all && told.failed) return failed("that did not work");
  count();
  $("spoken").textContent = $("told").textContent;
  if (!all) return refused(Object.keys(narrowed()).length ? nothing(state.q) : "Nothing in this shop fits that.", removals());
}

const nothing = (text) => {
  const [shop, colour, kind] = [SHOPS[state.retailer], state.colour, state.kind];
  const what = [colour ? `in ${colour}` : "", kind ? `among ${kind}` : "", shop ? `at ${shop}` : ""].filter(Boolean).join(" ");
  return what ? `Nothing ${what} fits “${text}”.` : "Nothing here fits that.";
};

const removals = () => Object.entries(narrowed()).map(([key, value]) =>
  h("button", { type: "button", class: "chip", onclick: () => go({ ...state, [key]: null }) }, `Remove ${SHOPS[value] ?? value}`));

async function looks(mine, title, ask) {
  busy(true);
  $("main").replaceChildren();
  const told = await ask();
  if (mine !== round) return;
  answeredBy = told.version;
  grid(told.like ? `${title} “${told.like}”` : title, told.cards, "Nothing here looks like it.");
}

async function likePicture() {
  const given = new URLSearchParams(narrowed());
  return asked(`/api/like-picture?${given}`, { method: "POST", headers: { "content-type": "application/octet-stream" }, body: picture });
}

async function mineOnly(mine) {
  busy(true);
  const told = await asked("/api/liked");
  if (mine !== round) return;
  grid("What you like", told.cards, "Nothing yet. Tap the heart on what you like.");
  const words = [told.likes.length ? `You like ${told.likes.join(", ")}` : "", told.avoids.length ? `rather not ${told.avoids.join(", ")}` : ""].filter(Boolean);
  $("understood").textContent = words.length ? `${words.join("; ")}.` : "";
}

function grid(title, products, none) {
  busy(false);
  $("main").replaceChildren(h("section", { class: "idea", "aria-label": title },
    h("header", {}, h("h2", {}, title), h("span", { class: "note" }, counted(products.length, "picture", "pictures"))),
    products.length ? h("div", { class: "grid" }, products.map((each) => card(each, null, likeThis))) : h("p", { class: "none" }, none)));
  say(counted(products.length, "picture", "pictures"));
}

function welcome() {
  busy(false);
  $("main").replaceChildren(h("section", { class: "welcome", "aria-label": "Begin" },
    h("h1", {}, "What is it for?"),
    h("p", {}, `${counted(stock.products, "product", "products")} of three shops. Name an occasion or a piece, or show a picture.`),
    h("div", { class: "occasions" }, OCCASIONS.map((each) => h("a", { href: written({ ...blank(), q: each }), "data-go": true }, each)))));
}

function refused(text, more = []) {
  $("main").replaceChildren(h("section", { class: "welcome", "aria-label": "No answer" }, h("h1", {}, text), h("div", { class: "occasions" }, more)));
  say(text);
}

function failed(text) {
  busy(false);
  refused("That did not work.", [h("button", { type: "button", class: "chip", onclick: answer }, "Try again")]);
  say(`That did not work: ${text}`);
}

const likeThis = (product) => go({ like: product.id });
const busy = (is) => $("main").setAttribute("aria-busy", String(is));
const say = (text) => { $("spoken").textContent = $("told").textContent = text; };

function count() {
  const all = [...ideas.values()].filter((each) => each.number >= 0 && !(each.isTitle && !each.found)), pictures = all.reduce((sum, each) => sum + each.found, 0);
  const by = answeredBy === null ? "" : `, found by version ${answeredBy}`;
  $("told").textContent = `${counted(all.length, "idea", "ideas")}, ${counted(pictures, "picture", "pictures")}${by}`;
}

// -- filters: they narrow what is shown at once, then ask again --

function filters() {
  const held = document.activeElement?.dataset?.filter;
  const chip = (key, value, label, swatch) => {
    const isOn = state[key] === value || (value === null && !state[key]);
    return h("button", {
      type: "button", class: swatch ? `chip swatch ${swatch}` : "chip", "aria-pressed": String(isOn), "data-filter": `${key} ${value}`, title: swatch ? label : null, "aria-label": swatch ? label : null,
      onclick: () => narrow(key, isOn ? null : value),
    }, swatch ? "" : label[0].toUpperCase() + label.slice(1));
  };
  $("filters").replaceChildren(
    h("div", { class: "bar" },
      chip("retailer", null, "All shops"), Object.entries(SHOPS).map(([key, name]) => chip("retailer", key, name)),
      h("span", { class: "gap" }), stock.colours.map((each) => chip("colour", each, each, `c-${each.replaceAll(" ", "-")}`))),
    h("div", { class: "bar" }, chip("kind", null, "All kinds"), stock.kinds.map((each) => chip("kind", each, each))),
  );
  if (held) document.querySelector(`[data-filter="${held}"]`)?.focus();
}

function narrow(key, value) {
  for (const each of document.querySelectorAll("#main .card[data-product]"))
    if (value && each.product[key === "retailer" ? "shop" : key] !== value) each.classList.add("out");
  go({ ...state, [key]: value });
}

// -- a switch of versions: results are never swapped under the eye --

onLearning((now) => {
  if (answeredBy === null || now.live === answeredBy || $("switched").childElementCount) return;
  if (!state.q && !state.like && !state.picture) return;
  $("switched").replaceChildren(h("div", { class: "switched" }, `Version ${now.live} answers now.`,
    h("button", { type: "button", onclick: () => { answer(); $("main").focus(); } }, "Look again")));
});

// -- hands --

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const q = $("q").value.trim();
  if (q) go({ ...narrowed(), q });
});

$("picture").addEventListener("change", (event) => {
  picture = event.target.files[0] ?? null;
  event.target.value = "";
  if (picture) go({ picture: true });
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-go]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, "", link.getAttribute("href"));
  answer();
});

$("keys").addEventListener("click", () => $("help").showModal());
$("pill").addEventListener("click", () => {
  const isOpen = $("learning").classList.toggle("open");
  $("pill").setAttribute("aria-expanded", String(isOpen));
});

document.addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey) return;
  if (event.key === "Escape") {
    $("learning").classList.remove("open");
    $("pill").setAttribute("aria-expanded", "false");
    if (document.activeElement === $("q")) $("q").blur();
    return;
  }
  if (event.target.matches("input, textarea") || $("help").open) return;
  if (event.key === "/") return taken(event, () => $("q").focus());
  if (event.key === "?") return taken(event, () => $("help").showModal());
  const at = event.target.closest(".card");
  if (!at) return;
  const to = { ArrowRight: () => step(at, 1), ArrowLeft: () => step(at, -1), ArrowDown: () => leap(at, 1), ArrowUp: () => leap(at, -1), l: () => at.say(true), x: () => at.say(false), m: () => at.more() }[event.key];
  if (to) taken(event, to);
});

const taken = (event, act) => { event.preventDefault(); act(); };
const focus = (made) => made?.querySelector(".image")?.focus();
const shown = (within) => [...within.querySelectorAll(".card[data-product]:not(.out)")];

function step(at, by) {
  const all = shown(at.parentElement);
  focus(all[all.indexOf(at) + by]);
}

function leap(at, by) {
  const rows = [...document.querySelectorAll("#main .row")].filter((each) => shown(each).length);
  const next = rows[rows.indexOf(at.parentElement) + by];
  if (next) focus(shown(next)[Math.min(shown(at.parentElement).indexOf(at), shown(next).length - 1)]);
}

addEventListener("popstate", answer);
stock = await asked("/api/shop").catch(() => stock);
$("liked").textContent = stock.liked ?? 0;
follow();
answer();
