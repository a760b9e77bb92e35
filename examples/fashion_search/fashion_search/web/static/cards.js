// Cards: a product each, with what can be said of it.

import { $, h, icon, sent } from "./dom.js";

const HEADING = { true: "I like it", false: "Not for me" };
const NOTED = { true: "Noted: you like it", false: "Noted: not for you", null: "Taken back" };

export function skeleton() {
  return h("article", { class: "card empty", "aria-hidden": "true" }, h("span", { class: "image" }), h("h3"), h("p"));
}

// `answer` is the number of the answer that it is; without one only the shopper's taste learns from what is said.
export function card(product, answer, likeThis) {
  const made = h("article", { class: "card new", "data-product": product.id });
  made.product = product;
  const label = `${product.title}, ${[product.brand, product.price, `at ${product.shop_name}`].filter(Boolean).join(", ")}`;
  const image = h("img", { src: `/pictures/${product.id}`, alt: "", loading: "lazy", decoding: "async", width: 180, height: 180 });
  const link = product.link && /^https?:\/\//i.test(product.link)
    ? h("a", { class: "image", href: product.link, target: "_blank", rel: "noopener noreferrer nofollow", "aria-label": label }, image)
    : h("span", { class: "image", tabindex: 0, role: "img", "aria-label": label }, image);
  const say = (liked) => said(made, answer, made.dataset.liked === String(liked) ? null : liked);
  const button = (liked, name) =>
    h("button", { class: name, type: "button", "aria-pressed": "false", "aria-label": `${HEADING[liked]}: ${product.title}`, title: HEADING[liked], onclick: () => say(liked) }, icon(name));
  made.say = say;
  made.more = () => likeThis(product);
  made.append(
    link,
    h("div", { class: "actions" }, button(true, "like"), button(false, "not"),
      h("button", { class: "more", type: "button", "aria-label": `More like this: ${product.title}`, title: "More like this", onclick: made.more }, icon("more"))),
    h("button", { class: "undo", type: "button", onclick: () => { say(null); link.focus(); } }, "Undo"),
    h("h3", { title: product.title }, product.title),
    h("p", {}, [product.price, product.shop_name].filter(Boolean).join(" · "), product.sold_out ? " · sold out" : ""),
  );
  show(made, product.liked ?? null);
  return made;
}

function show(made, liked) {
  made.dataset.liked = String(liked);
  made.querySelector(".like").setAttribute("aria-pressed", String(liked === true));
  made.querySelector(".not").setAttribute("aria-pressed", String(liked === false));
  made.querySelector(".undo").hidden = liked !== false;
}

async function said(made, answer, liked) {
  const before = made.dataset.liked;
  const same = document.querySelectorAll(`[data-product="${made.product.id}"]`);
  for (const each of same) show(each, liked);
  try {
    const told = await sent("/api/opinions", { product: made.product.id, liked, answer });
    $("liked").textContent = told.liked;
    $("spoken").textContent = NOTED[liked];
  } catch {
    for (const each of same) show(each, JSON.parse(before));
    $("spoken").textContent = $("told").textContent = "That could not be noted. Try again.";
  }
}
