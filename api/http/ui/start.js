// What the next shape starts from, as the form has it: nothing, a file that was chosen or dropped, or an earlier shape.
import { unloaded } from "./service.js";
import { announce } from "./status.js";
import { KINDS, USUAL_STRENGTH } from "./sources.js";

/** Limits of the box go along the coarse grid. */
const STEP = 1 / 32;
const VERBS = { nothing: ["Generate", "Generating…"], file: ["Refine", "Refining…"], shape: ["Vary", "Varying…"] };
const element = (id) => document.getElementById(id);
const form = element("form");
const up = element("up");
const strength = element("strength");
const boxed = element("boxed");
/** The inputs of the box, in the order of its six numbers. */
const limits = ["from", "to"].flatMap((end) => ["x", "y", "z"].map((axis) => limitOf(axis, end)));
let source = null;
let heard = () => {};

/**
 * Prepares the controls.
 * @param {() => object|undefined} shape gives the shape on the screen, around which a box begins
 * @param {(source: object|null) => void} changed hears every change
 * @param {(error: Error) => void} failed hears why a file cannot be used
 */
export function prepare(shape, changed, failed) {
  heard = changed;
  const given = (file) => file && read(file).catch(failed);
  const picker = element("file");
  picker.accept = KINDS.map((kind) => `.${kind}`).join();
  element("choose").addEventListener("click", () => picker.click());
  picker.addEventListener("change", () => {
    given(picker.files[0]);
    picker.value = "";
  });
  element("away").addEventListener("click", () => {
    write(null);
    element("choose").focus();
  });
  boxed.addEventListener("change", () => write({ ...source, box: boxed.checked ? boxAround(shape()) : null }));
  for (const field of [up, strength, ...limits]) field.addEventListener("input", ({ target }) => edit(target));
  const over = (event, on) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.toggle("drop", on);
  };
  addEventListener("dragover", (event) => over(event, true));
  addEventListener("dragleave", (event) => event.relatedTarget ?? over(event, false));
  addEventListener("drop", (event) => {
    over(event, false);
    given(event.dataTransfer?.files[0]);
  });
}

/** What the form says: see sources.js. */
export function values() {
  return source;
}

/** Starts from a shape that was made from words; from what a variation started from, where it is one. */
export async function vary(request) {
  write(request.source ?? { of: { ...request, n: 1 }, strength: USUAL_STRENGTH, box: null });
  if (document.fullscreenElement) await document.exitFullscreen();
  element("source").scrollIntoView({ block: "nearest" });
  strength.focus({ preventScroll: true });
}

export function write(next) {
  source = next;
  const kind = !source ? "nothing" : source.of ? "shape" : "file";
  form.dataset.from = kind;
  element("source").hidden = !source;
  element("source-name").textContent = source?.name ?? (source && `${source.of.prompt}, seed ${source.of.seed}`);
  up.value = source?.up ?? "";
  strength.value = source?.strength ?? USUAL_STRENGTH;
  boxed.checked = Boolean(source?.box);
  element("box").hidden = !source?.box;
  for (const [n, limit] of limits.entries()) limit.value = source?.box?.[n] ?? 0;
  tell();
}

/** The words of the button for what it does, and while it does it. */
export function verbs() {
  return VERBS[form.dataset.from ?? "nothing"];
}

async function read(file) {
  const format = file.name.split(".").pop().toLowerCase();
  if (!KINDS.includes(format))
    throw new Error(`${file.name} can't be refined. Use voxels, points or a mesh: ${KINDS.map((kind) => `.${kind}`).join(", ")}.`);
  const { take } = await import("./later/files.js").catch(unloaded);
  write(await take(file, format));
  announce(`The next shape is refined from ${file.name}.`);
  element(element("prompt").value ? "go" : "prompt").focus();
}

/** Takes over what was changed in a field. Of a box, the other end of the axis gives way. */
function edit(field) {
  const n = limits.indexOf(field);
  if (n >= 0) {
    const [value, other] = [Number(field.value), limits[(n + 3) % 6]];
    field.value = n < 3 ? Math.min(value, 0.5 - STEP) : Math.max(value, STEP - 0.5);
    const next = Number(field.value) + (n < 3 ? STEP : -STEP);
    other.value = n < 3 ? Math.max(other.value, next) : Math.min(other.value, next);
  }
  source = source?.of
    ? { ...source, strength: Number(strength.value), box: source.box && limits.map((limit) => Number(limit.value)) }
    : source && { ...source, up: up.value };
  tell();
}

function tell() {
  element("strength-value").value = strength.value;
  strength.style.setProperty("--share", `${100 * strength.value}%`);
  for (const axis of [0, 1, 2])
    element(`box-${axis}`).value = [limits[axis], limits[axis + 3]].map(({ value }) => Number(value).toFixed(2)).join(" to ");
  heard(source);
}

/** The box around a shape, in steps; everything, where there is no shape. */
function boxAround(shape) {
  if (!shape) return [-0.5, -0.5, -0.5, 0.5, 0.5, 0.5];
  return [...shape.low.map((value) => Math.floor(value / STEP) * STEP), ...shape.high.map((value) => Math.ceil(value / STEP) * STEP)];
}

function limitOf(axis, end) {
  const input = document.createElement("input");
  Object.assign(input, { type: "range", min: -0.5, max: 0.5, step: STEP });
  input.setAttribute("aria-label", `${axis} ${end}`);
  element(`box-${"xyz".indexOf(axis)}`).before(input);
  return input;
}
