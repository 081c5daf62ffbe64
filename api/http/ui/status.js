// What the page says about the service and the work: health, progress, problems.
import { keepFocus } from "./focus.js";
import { health, setKey } from "./service.js";

const SETTLED = ["ready", "error", "locked"];
const SETTLED_MS = 8000;
const WAITING_MS = 2000;
const element = (id) => document.getElementById(id);
const HEALTH_TEXT = {
  ready: "Ready",
  loading: "Loading models…",
  error: "No models",
  offline: "Not reachable",
  locked: "Needs a key",
};

/** Tells people who use a screen reader. */
export function announce(text) {
  element("live").textContent = text;
}

/** Asks for the service's health now, shows it and returns it; null where nothing answers. */
export async function askHealth() {
  const now = await health();
  const state = now?.status ?? "offline";
  const pill = element("health");
  if (pill.dataset.state === state && pill.dataset.models === String(now?.model_set)) return now;
  pill.dataset.state = state;
  pill.dataset.models = now?.model_set;
  pill.textContent = HEALTH_TEXT[state] ?? state;
  pill.title = now?.error ?? now?.gpu_name ?? "";
  if (state === "ready") dispatchEvent(new CustomEvent("modelsready", { detail: now }));
  return now;
}

/** Asks for as long as the page is there; while nobody sees it, not at all. */
export async function watchHealth() {
  for (const event of ["online", "offline"]) addEventListener(event, askHealth);
  document.addEventListener("visibilitychange", () => document.hidden || askHealth());
  for (;;) {
    const state = document.hidden ? "" : (await askHealth())?.status;
    await pause(SETTLED.includes(state) ? SETTLED_MS : WAITING_MS);
  }
}

/** Waits until the models are loaded or failed to; returns the last health. */
export async function untilSettled(signal) {
  for (;;) {
    const now = await askHealth();
    if (SETTLED.includes(now?.status) || signal.aborted) return now;
    await pause(WAITING_MS, signal);
  }
}

/** Resolves after a time, or as soon as the signal says so. */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/** The bar below the shape. `share` is 0 to 1, or undefined while nobody knows. */
export function progress(text, share, secondsLeft) {
  element("progress").hidden = false;
  if (element("progress-text").textContent !== text) {
    element("progress-text").textContent = text;
    announce(text);
  }
  element("progress-time").textContent = secondsLeft > 0 ? `${Math.ceil(secondsLeft)} s left` : "";
  if (share === undefined) element("progress-bar").removeAttribute("value");
  else element("progress-bar").value = share;
}

/** How much of a shape that is being sent has come. */
export function receiving(share) {
  progress("Receiving", share);
  element("progress-time").textContent = `${Math.round(100 * share)} %`;
}

export function elapsed(seconds) {
  element("progress-time").textContent = `${seconds} s`;
}

export function noProgress() {
  element("progress").hidden = true;
  element("progress-text").textContent = "";
}

/** Says what went wrong, with a button that calls `again`, if there is one; asks for a key where one is needed. */
export function problem(error, again, name = "Try again") {
  const locked = error.status === 401;
  element("problem-title").textContent = titleOf(error);
  element("problem-text").textContent = error.message;
  element("key-field").hidden = !locked;
  element("retry").hidden = !again;
  element("retry").textContent = name;
  element("problem-form").onsubmit = (event) => {
    event.preventDefault();
    const key = element("api-key").value;
    if (key) setKey(key);
    noProblem();
    again?.();
  };
  element("problem").hidden = false;
  if (locked) element("api-key").focus();
}

export function noProblem() {
  element("problem").hidden = true;
  keepFocus();
}

element("close").addEventListener("click", noProblem);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || element("problem").hidden) return;
  event.preventDefault();
  noProblem();
});

function titleOf({ status, code }) {
  if (code === "empty_result") return "No shape came out";
  if (code === "too_slow") return "That would take too long";
  if (status === 401) return "This service asks for a key";
  if (status === 429) return "The service stayed busy";
  if (status === 400 || status === 413) return "That can't be done";
  if (status === 0 && !code) return "No connection";
  return "It didn't work";
}
