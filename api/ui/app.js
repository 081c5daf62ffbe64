// The page: ties form, service, viewer, history and downloads together.
import * as theme from "./theme.js";
import * as download from "./download.js";
import * as form from "./form.js";
import * as history from "./history.js";
import { fromHash, toHash } from "./request.js";
import { run } from "./run.js";
import { shapeOf } from "./shape.js";
import { announce, noProblem, noProgress, problem, progress, watchHealth } from "./status.js";
import { Viewer } from "./viewer.js";

const element = (id) => document.getElementById(id);
const stage = element("stage");
const canvas = element("view");
const viewer = makeViewer();

/** What is on the screen: {request, shapes: {coarse, fine|null}, warning, seconds}. */
let shown = null;
let running = null;

theme.prepare(element("theme"));
form.prepare(start);
history.prepare((request, made) => {
  form.write(request);
  if (made && !running) show(made);
  else start();
});
download.prepare(() => shown.request, () => viewer.picture(), problem);
element("cancel").addEventListener("click", () => running?.abort());
element("reset").addEventListener("click", () => viewer?.reset());
for (const input of document.querySelectorAll("[name=mode]"))
  input.addEventListener("change", () => viewer?.setMode(input.value));
for (const input of document.querySelectorAll("[name=level]"))
  input.addEventListener("change", () => shown && viewer?.show(shown.shapes[input.value], { keep: true }));
addEventListener("hashchange", openLink);
watchHealth();
openLink();

function makeViewer() {
  try {
    return new Viewer(canvas);
  } catch {
    problem(new Error("This browser shows no 3-D graphics (WebGL 2): shapes can be made and downloaded, not seen."));
    return null;
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
  // On a phone the form is below the shape.
  if (stage.getBoundingClientRect().top < 0) stage.scrollIntoView();
  try {
    const made = await run(request, running.signal, { coarse: showCoarse });
    if (element("health").dataset.state !== "ready") watchHealth();
    progress("Drawing", 1);
    await new Promise((resolve) => setTimeout(resolve));
    const { answer } = made;
    const shapes = {
      coarse: shapeOf(answer.coarse_xyz, answer.coarse_normal),
      fine: answer.fine_xyz && shapeOf(answer.fine_xyz, answer.fine_normal),
    };
    const result = { request: { ...request, seed: made.seed }, shapes, warning: made.warning, seconds: made.seconds };
    show(result);
    history.add(result.request, viewer?.thumbnail() ?? "", result);
    announce(`Done: ${element("facts-text").textContent}`);
  } catch (error) {
    if (running.signal.aborted) announce("Cancelled");
    else problem(error, () => again(error));
    if (shown) show(shown);
    else if (stage.dataset.state === "coarse") empty();
  } finally {
    noProgress();
    setBusy(false);
    running = null;
  }
}

function again(error) {
  // The same seed would come to nothing again.
  if (error.code === "empty_result") form.forgetSeed();
  start();
}

function showCoarse({ coarse_xyz, coarse_normal }) {
  stage.dataset.state = "coarse";
  element("welcome").hidden = true;
  element("facts").hidden = true;
  element("levels").hidden = true;
  viewer?.show(shapeOf(coarse_xyz, coarse_normal));
  announce("The coarse shape is there.");
}

function show(result) {
  const keep = stage.dataset.state === "coarse";
  shown = result;
  const { request, shapes, seconds, warning } = result;
  const finest = shapes.fine ?? shapes.coarse;
  stage.dataset.state = "shown";
  for (const id of ["tools", "facts"]) element(id).hidden = false;
  element("welcome").hidden = true;
  element("levels").hidden = !shapes.fine;
  document.querySelector("[name=level][value=fine]").checked = true;
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
  element("tools").hidden = true;
  element("welcome").hidden = !element("problem").hidden;
}

function setBusy(busy) {
  element("go").disabled = busy;
  element("go").textContent = busy ? "Generating…" : "Generate";
  element("cancel").hidden = !busy;
  stage.setAttribute("aria-busy", String(busy));
  if (busy && !shown) element("welcome").hidden = true;
  if (!busy && !shown) element("welcome").hidden = !element("problem").hidden;
}
