// The only way anything comes onto the page: elements made one by one, values as text. Nothing is ever parsed as HTML.
const SVG = "http://www.w3.org/2000/svg";

function fill(element, props, kids) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else if (name === "style") for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...kids.flat(Infinity).filter((kid) => kid !== null && kid !== undefined && kid !== false));
  return element;
}

/** An HTML element with attributes, listeners (`on`) and children; text is text. */
export const h = (tag, props, ...kids) => fill(document.createElement(tag), props, kids);

/** The same in SVG. */
export const s = (tag, props, ...kids) => fill(document.createElementNS(SVG, tag), props, kids);

/** Put these children in place of those that are there; what has the focus keeps it, where it is there again by its `data-id`. */
export function put(parent, ...kids) {
  const held = document.activeElement;
  const id = parent.contains(held) ? held?.getAttribute("data-id") : null;
  parent.replaceChildren(...kids.flat(Infinity).filter((kid) => kid !== null && kid !== undefined && kid !== false));
  if (id !== null && id !== undefined) parent.querySelector(`[data-id="${CSS.escape(id)}"]`)?.focus({ preventScroll: true });
}

/** Say something to who listens to the page. For changes of state only. */
export function speak(text) {
  const place = document.getElementById("spoken");
  if (place.lastElementChild?.textContent === text) return;
  place.append(h("div", {}, text));
  while (place.childElementCount > 3) place.firstElementChild.remove();
}

export function toast(text) {
  document.querySelector(".toast")?.remove();
  const shown = h("div", { class: "toast", role: "status" }, text);
  document.body.append(shown);
  setTimeout(() => shown.remove(), 5000);
}

/** A link within the dashboard. */
export const link = (href, props, ...kids) => h("a", { href, ...props }, ...kids);
