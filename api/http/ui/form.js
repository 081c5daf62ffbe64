// The form: reading a request out of it, writing into it, and saying what is wrong in it.
import { DEFAULTS, randomSeed, validSeed } from "./request.js";

const DRAFT = "xcube.draft";
const element = (id) => document.getElementById(id);
const prompt = element("prompt");
const steps = element("steps");
const guidance = element("guidance");
const seed = element("seed");
const fine = element("fine");
const lock = element("lock");
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
  return values();
}

/** The seed that is locked, or "". */
export function lockedSeed() {
  return check(seed) ? "" : seed.value.trim();
}

export function setPrompt(text) {
  prompt.value = text;
  show();
}

/** Takes over the settings of a request and locks its seed, so that the next shape differs in nothing but the prompt. */
export function keep(request) {
  write({ ...request, prompt: prompt.value });
}

export function setSteps(value) {
  setRange(steps, value);
  show();
}

export function setSeed(value) {
  seed.value = value;
  show();
}

/**
 * Prepares the controls.
 * @param {() => void} submit is called when the reader wants a shape
 * @param {() => string} shownSeed gives the seed of the shape on the screen, or ""
 */
export function prepare(submit, shownSeed) {
  write(stored()?.request ?? DEFAULTS);
  for (const field of [prompt, steps, guidance, seed, fine]) field.addEventListener("input", show);
  element("dice").addEventListener("click", () => setSeed(randomSeed()));
  lock.addEventListener("click", () => setSeed(seed.value ? "" : shownSeed() || randomSeed()));
  element("examples").addEventListener("click", (event) => {
    if (event.target.tagName !== "BUTTON") return;
    setPrompt(event.target.textContent);
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
  // What stands in the form belongs to the address at which it was written.
  addEventListener("pagehide", () => sessionStorage.setItem(DRAFT, JSON.stringify({ address: location.hash, request: values() })));
}

/** Whether the form holds what its reader wrote at this address before a reload. */
export function isDraftOf(address) {
  return stored()?.address === address;
}

function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(DRAFT));
  } catch {
    return null;
  }
}

function values() {
  return {
    prompt: prompt.value.trim(),
    steps: Number(steps.value),
    guidance: Number(guidance.value),
    seed: seed.value.trim(),
    fine: fine.checked,
  };
}

function write(request) {
  prompt.value = request.prompt;
  setRange(steps, request.steps);
  setRange(guidance, request.guidance);
  seed.value = request.seed;
  fine.checked = request.fine;
  show();
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
  const locked = seed.value !== "";
  lock.setAttribute("aria-pressed", String(locked));
  lock.title = locked ? "Locked: the same shape again. Unlock for a new one each time" : "Unlocked: a new shape each time";
  element("seed-hint").textContent = locked
    ? "Locked: the same prompt and settings give the same shape."
    : "A new shape each time. Lock a seed to get the same one again.";
  for (const field of FAULTS.keys()) if (field.getAttribute("aria-invalid") === "true") check(field);
  for (const range of [steps, guidance])
    range.style.setProperty("--share", `${(100 * (range.value - range.min)) / (range.max - range.min)}%`);
}
