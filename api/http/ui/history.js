// What was made in this browser: requests with their seeds and small pictures, and the last shapes themselves.
import { key } from "./request.js";

const STORE = "xcube.history.1";
const ENTRIES = 30;
const SHAPES = 6;

const list = document.getElementById("history-list");
const section = document.getElementById("history");
const shapes = new Map();

/** Prepares the list; `choose` gets the request of an entry and its shapes, undefined if they are gone. */
export function prepare(choose) {
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const entry = entries()[Number(button.dataset.entry)];
    choose(entry.request, shapes.get(key(entry.request)));
  });
  document.getElementById("clear").addEventListener("click", () => {
    shapes.clear();
    save([]);
    show(null);
  });
  show(null);
}

/** Puts a request first, with the picture and shapes that it gave. */
export function add(request, picture, made) {
  const others = entries().filter((entry) => key(entry.request) !== key(request));
  shapes.delete(key(request));
  shapes.set(key(request), made);
  if (shapes.size > SHAPES) shapes.delete(shapes.keys().next().value);
  save([{ request, picture }, ...others].slice(0, ENTRIES));
  show(request);
}

/** Writes the list anew and marks one request as the one on the screen. */
export function show(current) {
  list.replaceChildren(
    ...entries().map(({ request, picture }, number) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.entry = number;
      button.title = `${request.prompt}\n${request.steps} steps, guidance ${request.guidance}`;
      button.setAttribute("aria-current", String(current !== null && key(request) === key(current)));
      const image = document.createElement("img");
      image.src = picture;
      image.alt = "";
      const name = document.createElement("span");
      name.textContent = request.prompt;
      const seed = document.createElement("small");
      seed.textContent = `seed ${request.seed}`;
      button.append(image, name, seed);
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
  section.hidden = list.children.length === 0;
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
