// The page: ties form, service, viewer, history and downloads together.
import * as download from "./download.js";
import { keepFocus } from "./focus.js";
import * as form from "./form.js";
import * as history from "./history.js";
import * as kept from "./kept.js";
import * as kinds from "./kinds.js";
import { fromHash, key, settingsOf, toHash } from "./request.js";
import { run } from "./run.js";
import { prepare as prepareShapes } from "./shapes.js";
import * as stageTools from "./stage.js";
import * as origin from "./start.js";
import { announce, askHealth, noProblem, noProgress, problem, watchHealth } from "./status.js";
import * as variants from "./variants.js";
import * as views from "./views.js";

const element = (id) => document.getElementById(id);
const stage = element("stage");
const canvas = element("view");
const TITLE = document.title;

/** Null while it loads, which the form need not wait for, and where there are no 3-D graphics. */
let viewer = null;
const viewerTried = makeViewer();
/** What is on the screen: {request, shapes: {coarse, fine|null}, warning, seconds}. */
let shown = null;
/** What is being made: {request, control, made: how many of its variants are there}. */
let running = null;

views.prepare(viewerTried.then(() => viewer), () => shown, problem, download.tellSurface);
origin.prepare(() => shown?.shapes.coarse, setSource, problem);
form.prepare(() => start(form.read()), () => shown?.request.seed ?? "");
history.prepare(open);
variants.prepare(show);
kinds.prepare(form.setPrompt);
addEventListener("modelsready", ({ detail }) => {
  kinds.load(detail);
  element("turbo").hidden = !detail.presets?.includes("turbo");
});
download.prepare(() => shown.request, () => viewer.picture(), problem);
element("prompt").addEventListener("focus", prepareShapes);
element("cancel").addEventListener("click", cancel);
stageTools.prepare(() => viewer);
element("reset").addEventListener("click", () => viewer?.reset());
element("again").addEventListener("click", () => start({ ...shown.request, seed: form.lockedSeed() }));
element("vary").addEventListener("click", () => form.vary(shown.request));
element("keep").addEventListener("click", () => {
  form.keep(shown.request);
  announce(`Seed ${shown.request.seed} is locked for the next shape.`);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.defaultPrevented && !event.isComposing) cancel();
});
addEventListener("hashchange", () => openLink());
watchHealth();
openLink({ draft: form.isDraftOf(location.hash || location.search) });

async function makeViewer() {
  try {
    const { Viewer } = await import("./viewer.js");
    viewer = new Viewer(canvas);
  } catch {
    element("download").querySelector("[data-format=png]").hidden = true;
    problem(new Error("The 3-D view could not start (it needs WebGL 2). You can still make and download shapes."));
  }
}

/** Shows the shape that the page's address names, unless it is on the screen or being made. */
function openLink({ draft = false } = {}) {
  // Links that were copied tell servers what they show, so that these can draw a picture of it.
  const request = fromHash(location.hash || location.search);
  if (!request) location.hash ? setAddress() : leave(); // a link within the page, or the way back to the start
  else if (toHash(request) !== address()) open(request, { draft });
}

/** Shows what a request gave or gives. A `draft` in the form stays; otherwise the form takes over the prompt alone. */
async function open(request, { draft = false } = {}) {
  if (!draft) form.setPrompt(request.prompt);
  const made = await kept.get(request);
  if (made) {
    await viewerTried;
    show(made);
  } else if (running) problem(new Error("This shape has to be made again: wait for the other one, or cancel it."));
  else start(request);
}

async function start(request) {
  if (!request || running) return;
  const control = new AbortController();
  running = { request, control, made: 0 };
  variants.clear();
  setBusy(true);
  noProblem();
  uncover();
  setAddress();
  try {
    await run(request, control.signal, { coarse: showCoarse, seed: nameSeed, made: take });
    announce(`Done: ${element("facts-text").textContent}`);
    if (element("health").dataset.state !== "ready") askHealth();
  } catch (error) {
    if (control.signal.aborted) announce("Cancelled");
    else {
      announce("");
      problem(error, ...remedy(error, request));
      if (error.status === 0) askHealth();
    }
    if (stage.dataset.state === "coarse") shown ? show(shown) : empty();
  } finally {
    running = null;
    noProgress();
    setBusy(false);
    setAddress();
  }
}

/** Shows and keeps a shape that has just been made. */
async function take(made) {
  await viewerTried;
  running.made++;
  show(made);
  const picture = viewer?.thumbnail() ?? "";
  kept.put(made);
  history.add(made.request, picture);
  if (running.request.n > 1) variants.add(made, picture);
}

function cancel() {
  running?.control.abort();
}

/** From now on a reload asks for the very shape that is being made. */
function nameSeed(seed) {
  running.request = { ...running.request, seed };
  setAddress();
}

/** The link to what is being made, or else to what is on the screen. */
function address() {
  const request = running?.request ?? shown?.request;
  return request ? toHash(request) : "";
}

function setAddress() {
  window.history.replaceState(null, "", location.pathname + address());
}

/** On a phone the form and the keyboard that it brings up lie over the shape. */
function uncover() {
  if (matchMedia("(pointer: coarse)").matches) element("go").focus({ preventScroll: true });
  if (stage.getBoundingClientRect().top < 0) stage.scrollIntoView();
}

/** What helps against an error, and its name; nothing where the same request would fail again. */
function remedy({ status, code, message }, request) {
  // The same seed would come to nothing again.
  if (code === "empty_result") return [() => (form.setSeed(""), start({ ...request, seed: "" })), "Try another seed"];
  const steps = Number(code === "too_slow" && /at most ([0-9]+) steps/.exec(message)?.[1]);
  if (steps) return [() => (form.setSteps(steps), start({ ...request, steps })), `Take ${steps} steps`];
  return status === 400 || status === 413 ? [] : [() => start(request)];
}

/** Shows a coarse shape, or `early` what it seems to become. */
function showCoarse(shape, index, early) {
  if (index > 0 || running.made) return;
  // What follows a preview takes its place.
  const next = stage.dataset.state === "coarse";
  stage.dataset.state = "coarse";
  element("levels").hidden = true;
  viewer?.show(shape, { keep: next, appear: !next });
  if (!early) announce("The coarse shape is there.");
}

function show(made) {
  const keep = stage.dataset.state === "coarse" && running !== null && key(running.request) === key(made.request);
  shown = made;
  const { request, shapes, seconds, warning } = made;
  const finest = shapes.fine ?? shapes.coarse;
  stage.dataset.state = "shown";
  // The service varies what came from words, not what came from a file.
  element("vary").hidden = Boolean(request.source?.file);
  element("caption").textContent = request.prompt;
  element("facts-text").textContent =
    `${finest.count.toLocaleString("en")} voxels · seed ${request.seed} · ${settingsOf(request)} · ${seconds.toFixed(1)} s`;
  const { blocks, mm } = stageTools.sizeOf(finest);
  element("size").textContent = `${blocks} blocks · ${mm} mm`;
  element("warning").textContent = warning ?? "";
  element("warning").hidden = !warning;
  canvas.setAttribute("aria-label", `${request.prompt}, ${finest.count} voxels`);
  document.title = `${request.prompt} · xcube`;
  setAddress();
  viewer?.show(finest, { keep });
  download.renew(shapes);
  views.renew();
  history.show(request);
  variants.show(request);
  keepFocus();
}

/** Back at the address that names no shape, there is none, and none is made. */
function leave() {
  cancel();
  noProblem();
  shown = null;
  empty();
}

function empty() {
  stage.dataset.state = "empty";
  document.title = TITLE;
  viewer?.clear();
  variants.clear();
  history.show(null);
  keepFocus();
}

/** What the next shape starts from has changed. */
function setSource(source) {
  if (!running) element("go").textContent = origin.verbs()[0];
  views.mark({ box: source?.box ?? null });
}

function setBusy(busy) {
  // Not `disabled`, which would take the focus away.
  for (const id of ["go", "again"]) element(id).setAttribute("aria-disabled", String(busy));
  element("go").textContent = origin.verbs()[Number(busy)];
  element("cancel").hidden = !busy;
  stage.setAttribute("aria-busy", String(busy));
  keepFocus();
}
