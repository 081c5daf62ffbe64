// The form: reading a request out of it, writing one into it, and saying what is wrong in it.
import { DEFAULTS, randomSeed, validSeed } from "./request.js";

const element = (id) => document.getElementById(id);
const prompt = element("prompt");
const steps = element("steps");
const guidance = element("guidance");
const seed = element("seed");
const fine = element("fine");
/** What is wrong in a field, or "". */
const FAULTS = new Map([
  [prompt, () => (prompt.value.trim() ? "" : "Say what to make.")],
  [seed, () => (validSeed(seed.value.trim()) ? "" : "Enter a whole number of at most 64 bits, or leave this empty for a random seed.")],
]);

/** The request in the form, or null: then the faulty field says what to do and has the focus. */
export function read() {
  const faulty = [...FAULTS.keys()].filter(check);
  if (faulty.length) {
    faulty[0].focus();
    return null;
  }
  return {
    prompt: prompt.value.trim(),
    steps: Number(steps.value),
    guidance: Number(guidance.value),
    seed: seed.value.trim(),
    fine: fine.checked,
  };
}

export function write(request) {
  prompt.value = request.prompt;
  setRange(steps, request.steps);
  setRange(guidance, request.guidance);
  seed.value = request.seed;
  fine.checked = request.fine;
  show();
}

export function setSteps(value) {
  setRange(steps, value);
  show();
}

export function setSeed(value) {
  seed.value = value;
  show();
}

/** Prepares the controls; `submit` is called when the reader wants a shape. */
export function prepare(submit) {
  write(DEFAULTS);
  for (const field of [prompt, steps, guidance, seed]) field.addEventListener("input", show);
  element("dice").addEventListener("click", () => setSeed(randomSeed()));
  element("no-seed").addEventListener("click", () => {
    setSeed("");
    seed.focus();
  });
  element("examples").addEventListener("click", (event) => {
    if (event.target.tagName !== "BUTTON") return;
    prompt.value = event.target.textContent;
    show();
    prompt.focus();
  });
  prompt.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    element("form").requestSubmit();
  });
  element("form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
}

/** Marks a field as faulty, or as right again; returns whether it is faulty. */
function check(field) {
  const text = FAULTS.get(field)();
  const note = element(`${field.id}-fault`);
  field.setAttribute("aria-invalid", String(Boolean(text)));
  note.textContent = text;
  note.hidden = !text;
  return Boolean(text);
}

/** A link may ask for a value between or beyond the slider's: the slider makes room for it. */
function setRange(range, value) {
  range.min = Math.min(Number(range.min), value);
  range.max = Math.max(Number(range.max), value);
  range.step = Number.isInteger((value - Number(range.min)) / Number(range.step)) ? range.step : "any";
  range.value = value;
}

function show() {
  element("steps-value").value = steps.value = Math.round(steps.value);
  element("guidance-value").value = guidance.value === "1" ? "off" : guidance.value;
  element("no-seed").hidden = seed.value === "";
  for (const field of FAULTS.keys()) if (field.getAttribute("aria-invalid") === "true") check(field);
  for (const range of [steps, guidance])
    range.style.setProperty("--share", `${(100 * (range.value - range.min)) / (range.max - range.min)}%`);
}
