// The variants of the last request, side by side: a click shows one.
import { key } from "./request.js";

const list = document.getElementById("made");
let all = [];

/** @param {(made: object) => void} choose gets the variant that the reader wants to see */
export function prepare(choose) {
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) choose(all[[...list.querySelectorAll("button")].indexOf(button)]);
  });
}

export function clear() {
  all = [];
  list.replaceChildren();
  list.hidden = true;
}

export function add(made, picture) {
  all.push(made);
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.key = key(made.request);
  button.setAttribute("aria-label", `Variant ${all.length}, seed ${made.request.seed}`);
  const image = document.createElement("img");
  image.src = picture;
  image.alt = "";
  button.append(image);
  const item = document.createElement("li");
  item.append(button);
  list.append(item);
  list.hidden = all.length < 2;
  show(made.request);
}

/** Marks the variant that is on the screen; another shape puts them away. */
export function show(request) {
  const buttons = [...list.querySelectorAll("button")];
  for (const button of buttons) button.setAttribute("aria-current", String(button.dataset.key === key(request)));
}
