// Elements, made of text only: nothing that a shop or a shopper wrote is ever read as HTML.

export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((each) => each !== null && each !== undefined));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

export function icon(name, size = 16) {
  const made = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ width: size, height: size, "aria-hidden": "true", class: `icon i-${name}` }))
    made.setAttribute(key, value);
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  made.append(use);
  return made;
}

export const $ = (id) => document.getElementById(id);

export async function asked(path, options = {}) {
  const answer = await fetch(path, options);
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(told.error ?? "that did not work"), { status: answer.status });
  return told;
}

export function sent(path, what) {
  const headers = { "content-type": "application/json" };
  return asked(path, { method: "POST", headers, body: JSON.stringify(what) });
}

export const counted = (count, one, more) => `${count.toLocaleString("en")} ${count === 1 ? one : more}`;
