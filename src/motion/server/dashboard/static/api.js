// What is asked of the server.
export class Refused extends Error {
  constructor(status, kind, message) {
    super(message);
    this.status = status;
    this.kind = kind;
  }
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch {
    throw new Refused(0, "NotReached", "The server cannot be reached.");
  }
  const text = await answer.text();
  let body = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    body = null;
  }
  if (!answer.ok) {
    const error = body?.error ?? {};
    throw new Refused(answer.status, error.type ?? "HTTPError", error.message ?? `The server answered ${answer.status}.`);
  }
  return body;
}

const query = (params) => {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(params ?? {})) {
    if (value === null || value === undefined || value === "") continue;
    for (const each of [value].flat()) found.append(name, String(each));
  }
  return String(found) ? `?${found}` : "";
};

export const get = (path, params, signal) => ask(path + query(params), { signal });

export const post = (path, body) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body ?? {}) });

export const part = encodeURIComponent;

const questions = new WeakMap();

/** Ask something for a place or a view: tells whether nothing was asked for it since. Answers come in any order, and what
 * answers an earlier question is not shown in place of, or among, what answers the last one. */
export function asking(asker) {
  const mine = {};
  questions.set(asker, mine);
  return () => questions.get(asker) === mine;
}

/** Where one value is answered: an image as itself. */
export const valueUrl = (table, id, pages, key) => `/v1/tables/${part(table)}/value${query({ id, ...pages, key })}`;
