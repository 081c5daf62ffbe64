// The form: what is read out of it, written into it, and wrong in it.
import * as start from "./start.js";
import { DEFAULTS, PRESETS, presetOf, randomSeed, validSeed } from "./request.js";
import { recall, remember } from "./tab.js";

const DRAFT = "xcube.draft";
const element = (id) => document.getElementById(id);
const prompt = element("prompt");
const steps = element("steps");
const guidance = element("guidance");
const seed = element("seed");
const fine = element("fine");
const lock = element("lock");
const scheduler = element("scheduler");
const fineSteps = element("fine-steps");
const from = element("from");
const to = element("to");
let turbo; // whether it was chosen last
const FIELDS = [prompt, steps, guidance, seed, fine, scheduler, fineSteps, from, to];
/** What is wrong in a field, or "". */
const FAULTS = new Map([
  [prompt, () => (prompt.value.trim() ? "" : "Say what to make.")],
  [seed, () => (validSeed(seed.value.trim()) ? sameNoise() : "Enter a whole number of at most 64 bits, or leave this empty for a random seed.")],
]);

/** A variation with the seed of its shape would get much of the same noise. */
function sameNoise() {
  return seed.value.trim() && start.values()?.of?.seed === seed.value.trim() ? "Take another seed than the shape's own, or none." : "";
}

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
  prompt.dispatchEvent(new Event("input"));
}

/** Takes over the settings of a request and locks its seed. */
export function keep(request) {
  write({ ...DEFAULTS, ...request, prompt: prompt.value, n: values().n });
}

/** Prepares a variation of a shape that was made, with a seed of its own. */
export function vary(request) {
  if (!prompt.value.trim()) setPrompt(request.prompt);
  setSeed("");
  start.vary(request);
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
  write({ ...DEFAULTS, ...stored()?.request });
  for (const field of FIELDS) field.addEventListener("input", show);
  for (const field of [fineSteps, from, to]) field.addEventListener("change", () => write(values()));
  element("presets").addEventListener("change", ({ target }) => write({ ...values(), ...PRESETS[target.value] }));
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
  addEventListener("pagehide", () => remember(DRAFT, JSON.stringify({ address: location.hash, request: values() })));
}

/** Whether the form holds what its reader wrote at this address before a reload. */
export function isDraftOf(address) {
  return stored()?.address === address;
}

function stored() {
  try {
    return JSON.parse(recall(DRAFT));
  } catch {
    return null;
  }
}

function values() {
  const request = {
    prompt: prompt.value.trim(),
    steps: Number(steps.value),
    guidance: Number(guidance.value),
    seed: seed.value.trim(),
    fine: fine.checked || Boolean(start.values()?.file),
    scheduler: scheduler.value,
    fineSteps: within(fineSteps, 1, 1000, "", Math.round),
    from: Math.min(within(from, 0, 1, 0), within(to, 0, 1, 1)),
    to: within(to, 0, 1, 1),
    n: Number(document.querySelector("[name=n]:checked").value),
    turbo,
    source: start.values(),
  };
  request.turbo &&= presetOf(request) === "turbo";
  return request;
}

/** The number in a field, within its bounds, or what it means when it is empty. */
function within(field, low, high, empty, rounded = (value) => value) {
  return field.value === "" ? empty : rounded(Math.min(high, Math.max(low, Number(field.value))));
}

function write(request) {
  turbo = request.turbo;
  prompt.value = request.prompt;
  setRange(steps, request.steps);
  setRange(guidance, request.guidance);
  seed.value = request.seed;
  fine.checked = request.fine;
  scheduler.value = request.scheduler;
  fineSteps.value = request.fineSteps;
  from.value = request.from;
  to.value = request.to;
  document.querySelector(`[name=n][value="${request.n}"]`).checked = true;
  start.write(request.source ?? null);
  if (presetOf(request) === undefined && request.scheduler !== DEFAULTS.scheduler) element("more").open = true;
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

/** A value between or beyond the slider's finds room. */
function setRange(range, value) {
  range.min = Math.min(Number(range.min), value);
  range.max = Math.max(Number(range.max), value);
  range.step = Number.isInteger(value / Number(range.step)) ? range.step : "any";
  range.value = value;
}

function show() {
  element("steps-value").value = steps.value = Math.round(steps.value);
  const preset = presetOf(values());
  for (const input of document.querySelectorAll("[name=preset]")) input.checked = input.value === preset;
  fineSteps.disabled = !fine.checked;
  guidance.disabled = preset === "turbo";
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
