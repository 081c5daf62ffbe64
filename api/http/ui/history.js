// What was made in this browser: requests with their seeds and small pictures; the shapes themselves are kept apart.
import * as kept from "./kept.js";
import { key } from "./request.js";
import { unloaded } from "./service.js";
import { problem } from "./status.js";

const STORE = "xcube.history.1";
const ENTRIES = 30;
/** So late may a tab hear of what another one has added, and write the list without it. */
const HEARD_MS = 5000;

const list = document.getElementById("history-list");
const section = document.getElementById("history");
let current = null;
/** What this page added a moment ago. */
let added = [];

/** Prepares the list; `choose` gets the request of an entry. */
export function prepare(choose) {
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    // Another tab may have changed the list since it was drawn: an entry is known by what it is, not by its place.
    if (button) choose(JSON.parse(button.dataset.request));
  });
  document.getElementById("clear").addEventListener("click", () => {
    kept.clear();
    import("./later/files.js").catch(unloaded).then((files) => files.clear()).catch(problem);
    added = [];
    save([]);
    show(null);
    document.getElementById("prompt").focus();
  });
  addEventListener("storage", (event) => event.key === STORE && heard(listed(() => event.newValue)));
  show(null);
}

/** Puts a request first, with the picture that it gave. */
export function add(request, picture) {
  const entry = { request, picture };
  added = [...justAdded(), { entry, at: Date.now() }];
  put(entry, entries());
  show(request);
}

/** Another tab has written the list: what it left out in ignorance is put back, unless it has cleared all. */
function heard(all) {
  if (all.length === 0) added = [];
  for (const { entry } of justAdded())
    if (!all.some(({ request }) => key(request) === key(entry.request))) put(entry, entries());
  show(current);
}

function justAdded() {
  return added.filter(({ at }) => Date.now() - at < HEARD_MS);
}

function put(entry, all) {
  const others = all.filter(({ request }) => key(request) !== key(entry.request));
  save([entry, ...others].slice(0, ENTRIES));
}

/** Writes the list anew and marks one request as the one on the screen. */
export function show(request) {
  current = request;
  const focused = list.contains(document.activeElement) && document.activeElement.dataset.request;
  list.replaceChildren(...entries().map(entryOf));
  section.hidden = list.children.length === 0;
  if (focused) [...list.querySelectorAll("button")].find((button) => button.dataset.request === focused)?.focus();
}

function entryOf({ request, picture }) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.request = JSON.stringify(request);
  button.title = `${request.prompt}\n${request.steps} steps, guidance ${request.guidance}`;
  button.setAttribute("aria-current", String(current !== null && key(request) === key(current)));
  const image = document.createElement("img");
  image.src = picture;
  image.alt = "";
  const name = document.createElement("span");
  name.dir = "auto";
  name.textContent = request.prompt;
  const seed = document.createElement("small");
  seed.textContent = `seed ${request.seed}`;
  button.append(image, name, seed);
  const item = document.createElement("li");
  item.append(button);
  return item;
}

function entries() {
  return listed(() => localStorage.getItem(STORE));
}

/** The entries that a text holds; none where it may not be read. */
function listed(text) {
  try {
    return JSON.parse(text()) ?? [];
  } catch {
    return [];
  }
}

/** A full or forbidden store costs the history only. */
function save(all) {
  try {
    localStorage.setItem(STORE, JSON.stringify(all));
  } catch {
    if (all.length > 1) save(all.slice(0, all.length >> 1));
  }
}
