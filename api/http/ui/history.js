// What was made in this browser: requests with their seeds and small pictures; the shapes themselves are kept apart.
import * as kept from "./kept.js";
import { key } from "./request.js";

const STORE = "xcube.history.1";
const ENTRIES = 30;

const list = document.getElementById("history-list");
const section = document.getElementById("history");
let current = null;

/** Prepares the list; `choose` gets the request of an entry. */
export function prepare(choose) {
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    // Another tab may have changed the list since it was drawn: an entry is known by what it is, not by its place.
    if (button) choose(JSON.parse(button.dataset.request));
  });
  document.getElementById("clear").addEventListener("click", () => {
    kept.clear();
    import("./later/files.js").then((files) => files.clear());
    save([]);
    show(null);
    document.getElementById("prompt").focus();
  });
  addEventListener("storage", (event) => event.key === STORE && show(current));
  show(null);
}

/** Puts a request first, with the picture that it gave. */
export function add(request, picture) {
  const others = entries().filter((entry) => key(entry.request) !== key(request));
  save([{ request, picture }, ...others].slice(0, ENTRIES));
  show(request);
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
  try {
    return JSON.parse(localStorage.getItem(STORE)) ?? [];
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
