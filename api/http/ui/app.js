// The page: ties form, service, viewer, history and downloads together.
import * as download from "./download.js";
import * as form from "./form.js";
import * as history from "./history.js";
import { fromHash, toHash } from "./request.js";
import { run } from "./run.js";
import { announce, noProblem, noProgress, problem, watchHealth } from "./status.js";

const element = (id) => document.getElementById(id);
const stage = element("stage");
const canvas = element("view");

/** Null while it loads, which the form need not wait for, and where there are no 3-D graphics. */
let viewer = null;
const viewerTried = makeViewer();
/** What is on the screen: {request, shapes: {coarse, fine|null}, warning, seconds}. */
let shown = null;
let running = null;

form.prepare(start);
history.prepare((request, made) => {
  form.write(request);
  if (made && !running) show(made);
  else start();
});
download.prepare(() => shown.request, () => viewer.picture(), problem);
element("cancel").addEventListener("click", () => running?.abort());
element("reset").addEventListener("click", () => viewer?.reset());
element("keep").addEventListener("click", () => {
  form.setSeed(shown.request.seed);
  announce(`Seed ${shown.request.seed} is kept for the next shape.`);
});
for (const input of document.querySelectorAll("[name=mode]"))
  input.addEventListener("change", () => viewer?.setMode(input.value));
for (const input of document.querySelectorAll("[name=level]"))
  input.addEventListener("change", () => shown && viewer?.show(shown.shapes[input.value], { keep: true }));
addEventListener("hashchange", openLink);
watchHealth();
openLink();

async function makeViewer() {
  try {
    const { Viewer } = await import("./viewer.js");
    viewer = new Viewer(canvas);
  } catch {
    element("download").querySelector("[data-format=png]").hidden = true;
    problem(new Error("The 3-D view could not start (it needs WebGL 2). You can still make and download shapes."));
  }
}

/** Makes the shape that the page's address names, unless it is on the screen. */
function openLink() {
  const request = fromHash(location.hash);
  if (!request || (shown && toHash(shown.request) === toHash(request))) return;
  form.write(request);
  start();
}

async function start() {
  const request = form.read();
  if (!request || running) return;
  running = new AbortController();
  setBusy(true);
  noProblem();
  uncover();
  try {
    const { shapes, seed, warning, seconds } = await run(request, running.signal, { coarse: showCoarse });
    await viewerTried;
    const result = { request: { ...request, seed }, shapes, warning, seconds };
    show(result);
    history.add(result.request, viewer?.thumbnail() ?? "", result);
    announce(`Done: ${element("facts-text").textContent}`);
    if (element("health").dataset.state !== "ready") watchHealth();
  } catch (error) {
    if (running.signal.aborted) announce("Cancelled");
    else {
      announce("");
      problem(error, ...remedy(error));
    }
    if (stage.dataset.state === "coarse") shown ? show(shown) : empty();
  } finally {
    noProgress();
    setBusy(false);
    running = null;
  }
}

/** On a phone the form and the keyboard that it brings up lie over the shape. */
function uncover() {
  if (matchMedia("(pointer: coarse)").matches) document.activeElement.blur();
  if (stage.getBoundingClientRect().top < 0) stage.scrollIntoView();
}

/** What helps against an error, and its name; nothing where the same request would fail again. */
function remedy({ status, code, message }) {
  const after = (change) => () => (change(), start());
  // The same seed would come to nothing again.
  if (code === "empty_result") return [after(() => form.setSeed("")), "Try another seed"];
  const steps = code === "too_slow" && /at most ([0-9]+) steps/.exec(message)?.[1];
  if (steps) return [after(() => form.setSteps(Number(steps))), `Take ${steps} steps`];
  return status === 400 || status === 413 ? [] : [start];
}

function showCoarse(shape) {
  stage.dataset.state = "coarse";
  element("levels").hidden = true;
  viewer?.show(shape);
  announce("The coarse shape is there.");
}

function show(result) {
  const keep = stage.dataset.state === "coarse";
  shown = result;
  const { request, shapes, seconds, warning } = result;
  const finest = shapes.fine ?? shapes.coarse;
  stage.dataset.state = "shown";
  element("levels").hidden = !shapes.fine;
  document.querySelector("[name=level][value=fine]").checked = true;
  element("caption").textContent = request.prompt;
  element("facts-text").textContent =
    `${finest.count.toLocaleString("en")} voxels · seed ${request.seed} · ${seconds.toFixed(1)} s`;
  element("warning").textContent = warning ?? "";
  element("warning").hidden = !warning;
  canvas.setAttribute("aria-label", `${request.prompt}, ${finest.count} voxels`);
  document.title = `${request.prompt} · xcube`;
  window.history.replaceState(null, "", toHash(request));
  viewer?.show(finest, { keep });
  history.show(request);
}

function empty() {
  stage.dataset.state = "empty";
  viewer?.clear();
}

function setBusy(busy) {
  // Not `disabled`, which would take the focus away.
  element("go").setAttribute("aria-disabled", String(busy));
  element("go").textContent = busy ? "Generating…" : "Generate";
  element("cancel").hidden = !busy;
  stage.setAttribute("aria-busy", String(busy));
}
