// One generation, from the click to the shape: waits for models and for a free place by itself.
import { generate, ServiceError } from "./service.js";
import { prepare as prepareShapes, shapesOf, variantOf } from "./shapes.js";
import { elapsed, pause, progress, receiving, untilSettled } from "./status.js";

const LONGEST_WAIT_S = 60;
const STAGES = { coarse: "Coarse shape", fine: "Fine detail" };

/**
 * Generates. Calls on.seed(seed), on.coarse(shape, index, early), early ones being previews, and on.made(made) for each variant:
 * {request with its seed, shapes, warning, seconds}. Throws ServiceError, and AbortError when the signal says so.
 */
export async function run(request, signal, on) {
  for (let tries = 0; ; tries++) {
    try {
      return await once(request, signal, on);
    } catch (error) {
      if (!(error instanceof ServiceError) || signal.aborted) throw error;
      if (error.code === "loading") {
        progress("The models are loading");
        const state = await untilSettled(signal);
        if (state?.status === "error") throw new ServiceError(state.error, { status: 503 });
        continue;
      }
      if (error.status !== 429 || tries >= 3) throw error;
      await countDown(Math.min(error.retryAfter ?? 5, LONGEST_WAIT_S), signal);
    }
    signal.throwIfAborted();
  }
}

async function once(request, signal, on) {
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  progress("Generating");
  prepareShapes();
  // A service that does not stream says nothing on the way: then the clock shows that something goes on.
  let anything = false;
  /** The coarse shapes by variant: what ends a variant may leave them out. */
  const coarseOnes = new Map();
  const clock = setInterval(() => anything || elapsed(Math.round(seconds())), 1000);
  const steps = new Steps(request);
  const ended = (shapes, seed, warning) => ({ request: { ...request, seed, n: 1 }, shapes, warning, seconds: seconds() });
  let { seed } = request;
  try {
    for await (const event of generate(request, signal, receiving)) {
      anything ||= event.type !== "seed";
      if (event.type === "seed") on.seed((seed = String(event.seed)));
      if (event.type === "queued") progress(event.position > 0 ? `Waiting, place ${event.position} in the queue` : "Starting");
      if (event.type === "progress") steps.show(event);
      if (event.type === "preview" || event.type === "coarse") {
        const { coarse } = await shapesOf(event.text);
        if (event.type === "coarse") coarseOnes.set(event.index, coarse);
        if (!signal.aborted) on.coarse(coarse, event.index, event.type === "preview");
      }
      if (event.type === "variant") {
        const variant = await variantOf(event.text);
        signal.throwIfAborted();
        steps.end(event.index);
        if (variant.shapes) variant.shapes.coarse ??= coarseOnes.get(event.index);
        if (variant.shapes) await on.made(ended(variant.shapes, variant.seed, variant.warnings.join("; ")));
      }
      if (event.type === "completed") {
        if (request.n > 1) return;
        const took = seconds();
        progress("Drawing", 1);
        const shapes = await shapesOf(event.text);
        shapes.coarse ??= coarseOnes.get(0);
        signal.throwIfAborted();
        await on.made({ ...ended(shapes, seed, event.warning), seconds: took });
        return;
      }
    }
  } finally {
    clearInterval(clock);
  }
  throw new ServiceError("The service sent no shape.");
}

/** How far a request is, whose variants go on side by side. */
class Steps {
  constructor({ fine, n = 1, source }) {
    this.fine = fine;
    this.given = Boolean(source?.file);
    this.shares = Array(n).fill(0);
    this.ended = 0;
  }

  show({ stage, step, steps, seconds_left: left, index = 0 }) {
    const share = step / steps;
    this.shares[index] = this.fine && !this.given ? (stage === "fine" ? 0.5 + share / 2 : share / 2) : share;
    this.tell(STAGES[stage] ?? stage, left);
  }

  end(index) {
    this.ended++;
    this.shares[index] = 1;
    this.tell();
  }

  tell(stage, left) {
    const { length } = this.shares;
    const text = length > 1 ? `${this.ended} of ${length} shapes` : stage;
    progress(text, this.shares.reduce((sum, share) => sum + share) / length, left);
  }
}

async function countDown(wait, signal) {
  for (let left = Math.ceil(wait); left > 0 && !signal.aborted; left--) {
    progress("The service is busy; trying again", undefined, left);
    await pause(1000, signal);
  }
}
