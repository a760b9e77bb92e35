import { h, put } from "./dom.js";

function shown(dialog) {
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  return dialog;
}

/** Ask before something is changed, saying what follows; the answer is whether to. */
export function sure(title, follows, act) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-labelledby": "sure-title" },
      h("h1", { id: "sure-title" }, title),
      h("p", {}, follows),
      h("div", { class: "actions" },
        h("button", { class: "button", type: "button", on: { click: () => dialog.close() } }, "Leave it"),
        h("button", { class: "button first", type: "button", autofocus: true, on: { click: () => dialog.close("yes") } }, act)));
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"));
    shown(dialog);
  });
}

/** Ask for the token that this server wants. */
export function askToken(take) {
  const field = h("input", { type: "password", "aria-label": "Token", autocomplete: "off", style: { width: "100%", "min-height": "34px", padding: "0 10px" } });
  const told = h("p", { class: "failed-note", role: "alert" });
  const form = h("form", { method: "dialog", on: { submit: async (event) => {
    event.preventDefault();
    try {
      await take(field.value);
      dialog.close();
    } catch (error) {
      put(told, error.message);
    }
  } } },
    h("h1", {}, "This store asks for a token"),
    h("p", {}, "An admin makes one with ", h("code", {}, "motion token"), ". The browser keeps it where no script can read it."),
    field, told,
    h("div", { class: "actions" }, h("button", { class: "button first" }, "Enter")));
  const dialog = h("dialog", {}, form);
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  shown(dialog);
}

/** All keys that do something here. */
export function showKeys(groups, isOn, toggle) {
  const dialog = h("dialog", { "aria-labelledby": "keys-title" },
    h("h1", { id: "keys-title" }, "Keys"),
    groups.map(([title, keys]) => [
      h("h3", { style: { margin: "12px 0 6px" } }, title),
      h("div", { class: "keys" }, keys.map(([key, told]) => [h("span", {}, key.split(" ").map((each) => h("kbd", {}, each))), h("span", {}, told)]))]),
    h("div", { class: "actions" },
      h("button", { class: "button", type: "button", on: { click: () => { toggle(); dialog.close(); } } }, isOn ? "Turn keys off" : "Turn keys on"),
      h("button", { class: "button first", type: "button", autofocus: true, on: { click: () => dialog.close() } }, "Close")));
  shown(dialog);
}

/** Go to anything: what the words so far may mean, the first chosen. */
export function find(meanings, go) {
  let found = [], at = 0;
  const list = h("ul", { id: "found", role: "listbox", "aria-label": "Found" });
  const field = h("input", { type: "search", role: "combobox", "aria-expanded": "true", "aria-controls": "found", "aria-label": "Go to a table, trigger, row or change", placeholder: "Go to a table, trigger, row or change", autofocus: true });
  const choose = (index) => {
    const chosen = found[index];
    if (!chosen) return;
    dialog.close();
    go(chosen.href);
  };
  const draw = () => {
    found = meanings(field.value.trim()).slice(0, 12);
    at = Math.min(at, Math.max(0, found.length - 1));
    put(list, found.map((each, index) => h("li", { role: "option", id: `found-${index}`, "aria-selected": String(index === at), on: { click: () => choose(index) } }, each.name, h("span", {}, each.what))));
    field.setAttribute("aria-activedescendant", found.length ? `found-${at}` : "");
  };
  const dialog = h("dialog", { class: "find", "aria-label": "Go to" }, field, list);
  field.addEventListener("input", () => { at = 0; draw(); });
  field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      at = (at + (event.key === "ArrowDown" ? 1 : found.length - 1)) % Math.max(1, found.length);
      draw();
    } else if (event.key === "Enter") {
      event.preventDefault();
      choose(at);
    }
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  shown(dialog);
  draw();
}
