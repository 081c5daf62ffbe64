// The service's HTTP interface, as the page uses it.
import { DEFAULTS } from "./request.js";
import { events } from "./sse.js";
import { recall, remember } from "./tab.js";

const KINDS = new URL("../kinds", document.baseURI);
const HEALTH = new URL("../health", document.baseURI);
// A preview takes about as long as two steps.
const STEPS_PER_PREVIEW = 12;
const MOST_PREVIEWS = 6;
// Letters of a shape: what is shorter is there at once.
const WORTH_TELLING = 50_000;
const KEY = "xcube.key";

/** What the service answered instead of a shape, or that it did not answer. */
export class ServiceError extends Error {
  constructor(text, { status = 0, code = "", retryAfter = null } = {}) {
    super(text);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** Fails in place of a part of the page that was to be loaded now. */
export async function unloaded() {
  throw new ServiceError("A part of the page could not be loaded. Is the network up?");
}

/** The service's health; "locked" where that needs a key, null without an answer. */
export async function health() {
  try {
    const answer = await fetch(HEALTH, { headers: authorization(), signal: AbortSignal.timeout(5000) });
    return answer.status === 401 ? { status: "locked" } : await answer.json();
  } catch {
    return null;
  }
}

/** The kinds that the models know, [{name, names}], or null. */
export async function kinds() {
  try {
    const answer = await fetch(KINDS, { headers: authorization() });
    return answer.ok ? (await answer.json()).kinds : null;
  } catch {
    return null;
  }
}

/** Whether the models know a prompt: {known, nearest_kinds}, or null. */
export async function recognise(prompt) {
  try {
    return await (await post(KINDS, JSON.stringify({ prompt }), "application/json")).json();
  } catch {
    return null;
  }
}

/** Keeps the API key until this tab is closed. */
export function setKey(key) {
  remember(KEY, key);
}

/**
 * Generates a shape. Yields {type, ...}: seed {seed}, queued {position}, progress {stage, step, steps, seconds_left},
 * preview {text}, coarse {text}, completed {text, warning}, all with {index} where there are variants, of which each ends with
 * variant {text}. Throws ServiceError. `receiving` hears which share of a shape has come.
 */
export async function* generate(request, signal, receiving) {
  try {
    yield* told(request, signal, receiving);
    return;
  } catch (error) {
    if (!isForgotten(error, request)) throw error;
  }
  for await (const event of generate(request.source.of, signal, () => {}))
    if (event.type === "queued" || event.type === "progress") yield event;
  yield* told(request, signal, receiving);
}

/** Whether the service has no earlier shape of a request any more: made again with its seed, it is the same. */
function isForgotten({ status }, { source }) {
  return status === 404 && Boolean(source?.of);
}

async function* told(request, signal, receiving) {
  const { url, text } = await order(request);
  url.searchParams.set("recent", "true");
  url.searchParams.set("shape", "packed");
  url.searchParams.set("previews", Math.min(MOST_PREVIEWS, Math.floor(request.steps / STEPS_PER_PREVIEW)));
  const answer = await post(url, text, "text/event-stream, application/json;q=0.9", signal);
  let warning = decodeURIComponent(answer.headers.get("X-XCube-Warning") ?? "");
  yield { type: "seed", seed: answer.headers.get("X-Seed") ?? request.seed };
  if (!answer.headers.get("Content-Type")?.startsWith("text/event-stream")) {
    yield { type: "completed", text: await answer.text(), warning };
    return;
  }
  let expected = 0;
  const received = (letters) => expected > WORTH_TELLING && receiving(Math.min(1, letters / expected));
  for await (const { event, data } of events(answer.body, received)) {
    if (event === "preview" || event === "coarse" || event === "variant" || event === "completed") {
      // Of several variants, the index comes first.
      yield { type: event, text: data, warning, index: Number(/^\{"index":(\d+)/.exec(data)?.[1] ?? 0) };
      if (event === "completed") return;
      continue;
    }
    const value = JSON.parse(data);
    expected = event === "sending" ? value.bytes : 0;
    if (event === "failed") throw new ServiceError(value.error, { code: value.code, retryAfter: value.retry_after });
    if (event === "warning") warning = value.warnings.join("; ");
    yield { type: event, ...value };
  }
  throw new ServiceError("The connection broke before the shape was done.");
}

/** The shape of a request as a file in one of the service's formats, with options of files by name. */
export async function file(request, format, options = {}) {
  const { url, text } = await order(request);
  for (const [name, value] of Object.entries({ format, ...options })) url.searchParams.set(name, value);
  try {
    return await (await post(url, text, "*/*")).blob();
  } catch (error) {
    if (!isForgotten(error, request)) throw error;
  }
  for await (const { type } of generate(request.source.of, undefined, () => {})) if (type === "completed") break;
  return (await post(url, text, "*/*")).blob();
}

async function post(url, body, accept, signal) {
  const headers = { "Content-Type": "application/json", Accept: accept, ...authorization() };
  let answer;
  try {
    answer = await fetch(url, { method: "POST", headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("The service does not answer. Is it running, and is the network up?");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new ServiceError(said.error ?? `The service answered with status ${answer.status}.`, {
    status: answer.status,
    code: said.code,
    retryAfter: Number(answer.headers.get("Retry-After")) || null,
  });
}

function authorization() {
  const key = recall(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** Where a request is sent, and its JSON. */
async function order(request) {
  const { source } = request;
  let [path, more] = ["generate", ""];
  if (source?.of) {
    const { of, strength, box } = source;
    const corners = box ? [box.slice(0, 3), box.slice(3)] : null;
    [path, more] = ["variations", `,"of":{"request":${body(of)}},"strength":${strength},"box":${JSON.stringify(corners)}`];
  } else if (source) {
    const { textOf } = await import("./later/files.js").catch(unloaded);
    const file = await textOf(source);
    if (file === undefined) throw new ServiceError(`The file ${source.name} is not here any more: choose it again.`, { status: 400 });
    const shape = { file, format: source.format, ...(source.up && { up: source.up }) };
    [path, more] = ["refine", `,"shape":${JSON.stringify(shape)}`];
  }
  return { url: new URL(`../${path}`, document.baseURI), text: `${body(request).slice(0, -1)}${more}}` };
}

/** The JSON of a request without what it starts from. Seeds are kept as text: they have up to 64 bits, JavaScript's numbers 53. */
function body(request) {
  const { prompt, steps, guidance, seed, fine, scheduler, fineSteps, from, to, n, turbo } = { ...DEFAULTS, ...request };
  const fields = { prompt, guidance_scale: guidance, use_fine: fine };
  if (turbo) fields.preset = "turbo";
  else fields.ddim_steps = steps;
  if (scheduler !== DEFAULTS.scheduler) fields.scheduler = scheduler;
  if (fine && fineSteps !== "") fields.fine_steps = fineSteps;
  if (from > 0 || to < 1) fields.guidance_interval = [from, to];
  if (n > 1) fields.n = n;
  const text = JSON.stringify(fields);
  return seed === "" ? text : `${text.slice(0, -1)},"seed":${seed}}`;
}
