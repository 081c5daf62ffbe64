// A request {prompt, steps, guidance, seed, fine}: in the form, and in a link. A seed is text, "" means a random one.

const MAX_STEPS = 1000;

export const DEFAULTS = { prompt: "", steps: 100, guidance: 7.5, seed: "", fine: true };

/** The part of a link after #; settings that are the default are left out. */
export function toHash(request) {
  const fields = new URLSearchParams({ prompt: request.prompt });
  for (const name of ["seed", "steps", "guidance"]) {
    if (String(request[name]) !== String(DEFAULTS[name])) fields.set(name, request[name]);
  }
  if (!request.fine) fields.set("fine", "0");
  return `#${fields}`;
}

/** The request in a link, or null where it names none; values out of range become the defaults. */
export function fromHash(hash) {
  const fields = new URLSearchParams(hash.slice(1));
  const prompt = fields.get("prompt")?.trim().slice(0, 1000);
  if (!prompt) return null;
  const seed = fields.get("seed") ?? "";
  return {
    prompt,
    steps: Math.round(within(fields.get("steps"), 1, MAX_STEPS, DEFAULTS.steps)),
    guidance: within(fields.get("guidance"), 1, 20, DEFAULTS.guidance),
    seed: validSeed(seed) ? seed : "",
    fine: fields.get("fine") !== "0",
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
  return JSON.stringify([request.prompt, request.steps, request.guidance, request.seed, request.fine]);
}

function within(text, low, high, fallback) {
  const value = text === null || text === "" ? NaN : Number(text);
  return value >= low && value <= high ? value : fallback;
}
