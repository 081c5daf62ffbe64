// One generation, from the click to the shape: waits for models and for a free place by itself.
import { generate, ServiceError } from "./service.js";
import { shapesOf } from "./shapes.js";
import { elapsed, pause, progress, untilSettled } from "./status.js";

const LONGEST_WAIT_S = 60;
const STAGES = { coarse: "Coarse shape", fine: "Fine detail" };

/**
 * Generates; calls on.seed(seed) and on.coarse(shape) when they are there, and returns what was made: {request with its
 * seed, shapes, warning, seconds}. Throws ServiceError, and AbortError when the signal says so.
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
  const seconds = () => Math.round((performance.now() - start) / 1000);
  progress("Generating");
  // A service that does not stream says nothing on the way: then the clock shows that something goes on.
  let told = false;
  const clock = setInterval(() => told || elapsed(seconds()), 1000);
  let seed = request.seed;
  try {
    for await (const event of generate(request, signal)) {
      told ||= event.type !== "seed";
      if (event.type === "seed") on.seed((seed = String(event.seed)));
      if (event.type === "queued") progress(event.position > 0 ? `Waiting, place ${event.position} in the queue` : "Starting");
      if (event.type === "progress") showSteps(event, request);
      if (event.type === "coarse") {
        const { coarse } = await shapesOf(event.text);
        if (!signal.aborted) on.coarse(coarse);
      }
      if (event.type === "completed") {
        const took = (performance.now() - start) / 1000;
        progress("Drawing", 1);
        const shapes = await shapesOf(event.text);
        signal.throwIfAborted();
        return { request: { ...request, seed }, shapes, warning: event.warning, seconds: took };
      }
    }
  } finally {
    clearInterval(clock);
  }
  throw new ServiceError("The service sent no shape.");
}

function showSteps({ stage, step, steps, seconds_left: left }, { fine }) {
  const share = step / steps;
  const whole = fine ? (stage === "fine" ? 0.5 + share / 2 : share / 2) : share;
  progress(STAGES[stage] ?? stage, whole, left);
}

async function countDown(wait, signal) {
  for (let left = Math.ceil(wait); left > 0 && !signal.aborted; left--) {
    progress("The service is busy; trying again", undefined, left);
    await pause(1000, signal);
  }
}
