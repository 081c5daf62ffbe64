// Which models they are and what they know: the kinds as a list to search and to choose from, and a word at once where a
// prompt names none.
import { kinds, recognise } from "./service.js";
import { announce } from "./status.js";

/** Sets of models by name: what they are called, and what is worth knowing. */
const SETS = {
  demo: ["the demo models", "Small models that come with the service: furniture, vehicles, houses, dishes, tools, plants and animals."],
  official: ["the official models", "NVIDIA’s models of XCube, trained on Objaverse: describe any object."],
  own: ["these models", "Models that the operator of this service has chosen."],
};
const PAUSE_MS = 450;
const element = (id) => document.getElementById(id);
const section = element("kinds");
const list = element("kinds-list");
const search = element("kinds-search");
const prompt = element("prompt");
const note = element("unknown");
let known = [];
let asked = 0;
let timer;

/** Prepares list and note; `choose` gets the prompt that the reader wants instead. */
export function prepare(choose) {
  for (const place of [list, note])
    place.addEventListener("click", ({ target }) => {
      if (target.tagName !== "BUTTON") return;
      choose(promptOf(target.textContent));
      section.open = false;
      prompt.focus();
    });
  search.addEventListener("input", fill);
  search.addEventListener("keydown", (event) => {
    // Enter takes the first, and sends nothing.
    if (event.key !== "Enter") return;
    event.preventDefault();
    list.querySelector("button")?.click();
  });
  prompt.addEventListener("input", soon);
}

/** Asks what is known, once the models are there; the service's health tells which they are, where they run, and what is wrong. */
export async function load({ model_set: set, gpu_name, error }) {
  known = (await kinds()) ?? [];
  const [name, about] = SETS[set] ?? [set ? `the models “${set}”` : "the models", SETS.own[1]];
  section.hidden = !set && known.length === 0;
  section.querySelector("summary").textContent = known.length ? `What ${name} know: ${known.length} ${known.length === 1 ? "kind" : "kinds"}` : `About ${name}`;
  element("set").textContent = [set ? about : "", `They run on ${gpu_name ? `a GPU, ${gpu_name}` : "a CPU"}.`, error ?? ""].join(" ").trim();
  search.hidden = known.length === 0;
  fill();
  check();
}

/** Looks at the prompt in a moment, when nothing more is typed. */
export function soon() {
  clearTimeout(timer);
  timer = setTimeout(check, PAUSE_MS);
}

async function check() {
  const text = prompt.value.trim();
  const number = ++asked;
  const found = text && known.length ? await recognise(text) : null;
  if (number !== asked) return;
  note.hidden = found?.known !== false;
  if (note.hidden) return;
  const nearest = found.nearest_kinds;
  const told = `It knows nothing of that name, so anything may come out.${nearest.length ? " Nearest:" : ""}`;
  note.replaceChildren(told, ...nearest.flatMap((name) => [" ", buttonOf(name)]));
  announce(`${told} ${nearest.join(", ")}`);
}

function fill() {
  const wanted = search.value.trim().toLowerCase();
  const fitting = known.filter(({ names }) => names.some((name) => name.toLowerCase().includes(wanted)));
  list.replaceChildren(
    ...fitting.map(({ name, names }) => {
      const item = document.createElement("li");
      const button = buttonOf(name);
      button.title = names.join(", ");
      item.append(button);
      return item;
    }),
  );
}

function buttonOf(name) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = name;
  return button;
}

function promptOf(name) {
  return `${/^[aeiou]/i.test(name) ? "an" : "a"} ${name}`;
}
