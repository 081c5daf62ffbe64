// A request: in the form, and in a link. A seed is text, "" means a random one; fineSteps "" means as many as steps; from
// and to are the part of the run in which guidance is applied; n shapes are asked for at once. What it starts from, if it
// does not start from nothing, is in source: see sources.js.
import { fromLink, keyOf, toLink } from "./sources.js";

const MAX_STEPS = 1000;
export const MOST_VARIANTS = 4;

export const DEFAULTS = {
  prompt: "", steps: 100, guidance: 7.5, seed: "", fine: true, scheduler: "ddim", fineSteps: "", from: 0, to: 1, n: 1,
  turbo: false, // the turbo pair takes its own steps
};
/** What the service's presets stand for. */
export const PRESETS = {
  draft: { scheduler: "dpm++", steps: 12, fineSteps: 8, from: 0, to: 1, turbo: false },
  standard: { scheduler: "ddim", steps: 100, fineSteps: "", from: 0, to: 1, turbo: false },
  best: { scheduler: "ddim", steps: 250, fineSteps: 100, from: 0, to: 1, turbo: false },
  turbo: { scheduler: "ddim", steps: 4, fineSteps: "", from: 0, to: 1, turbo: true },
};
/** Fields in a link by their names there. */
const IN_LINK = {
  seed: "seed", steps: "steps", guidance: "guidance", scheduler: "scheduler", fineSteps: "fine_steps",
  from: "guidance_from", to: "guidance_to", n: "n",
};

/** The part of a link after #; settings that are the default are left out. */
export function toHash(request) {
  const whole = { ...DEFAULTS, ...request };
  const fields = new URLSearchParams({ prompt: whole.prompt });
  for (const [name, inLink] of Object.entries(IN_LINK)) {
    if (String(whole[name]) !== String(DEFAULTS[name])) fields.set(inLink, whole[name]);
  }
  if (!whole.fine) fields.set("fine", "0");
  if (whole.turbo) fields.set("preset", "turbo");
  if (whole.source) toLink(whole.source, fields, toHash);
  return `#${fields}`;
}

/** The request in a link, or null where it names none; values out of range become the defaults. */
export function fromHash(hash) {
  const fields = new URLSearchParams(hash.slice(1));
  const prompt = fields.get("prompt")?.trim().slice(0, 1000);
  if (!prompt) return null;
  const seed = fields.get("seed") ?? "";
  const fineSteps = Math.round(within(fields.get("fine_steps"), 1, MAX_STEPS, 0)) || "";
  const from = within(fields.get("guidance_from"), 0, 1, DEFAULTS.from);
  return {
    prompt,
    steps: Math.round(within(fields.get("steps"), 1, MAX_STEPS, DEFAULTS.steps)),
    guidance: within(fields.get("guidance"), 1, 20, DEFAULTS.guidance),
    seed: validSeed(seed) ? seed : "",
    fine: fields.get("fine") !== "0",
    scheduler: fields.get("scheduler") === "dpm++" ? "dpm++" : DEFAULTS.scheduler,
    fineSteps,
    from,
    to: within(fields.get("guidance_to"), from, 1, DEFAULTS.to),
    n: Math.round(within(fields.get("n"), 1, MOST_VARIANTS, DEFAULTS.n)),
    ...PRESETS[fields.get("preset")],
    source: fromLink(fields, fromHash),
  };
}

/** Whether a text is a seed that the service takes: any i64 or u64, or nothing. */
export function validSeed(text) {
  if (text === "") return true;
  if (!/^(0|-?[1-9][0-9]{0,19})$/.test(text)) return false;
  return BigInt(text) >= -(2n ** 63n) && BigInt(text) < 2n ** 64n;
}

export function randomSeed() {
  return String(crypto.getRandomValues(new Uint32Array(1))[0] >>> 1);
}

/** Two requests that give the same shape have the same key. */
export function key(request) {
  const whole = { ...DEFAULTS, ...request };
  const values = Object.keys(DEFAULTS).map((name) => whole[name]);
  return JSON.stringify(whole.source ? [...values, keyOf(whole.source, key)] : values);
}

/** The name of the preset that has the settings of a request, or undefined. */
export function presetOf(request) {
  const fits = (preset) => Object.entries(preset).every(([name, value]) => (request[name] ?? false) === value);
  return Object.keys(PRESETS).find((name) => fits(PRESETS[name]));
}

/** How a shape was made, in a few words. */
export function settingsOf(request) {
  const { steps, fine, fineSteps, scheduler, from, to, source, turbo } = { ...DEFAULTS, ...request };
  const words = [fine && fineSteps ? `${steps} + ${fineSteps} steps` : `${steps} steps`];
  if (turbo) words.push("turbo");
  if (scheduler !== DEFAULTS.scheduler) words.push(scheduler);
  if (from > 0 || to < 1) words.push(`guided ${from}–${to}`);
  if (source) words.push(source.of ? `varied by ${source.strength}${source.box ? " in a box" : ""}` : `from ${source.name}`);
  return words.join(", ");
}

function within(text, low, high, fallback) {
  const value = text === null || text === "" ? NaN : Number(text);
  return value >= low && value <= high ? value : fallback;
}
