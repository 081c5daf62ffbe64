// Shapes out of the service's answers. The work is done in the background, so that the page stays quick.
import { unloaded } from "./service.js";

/** Null until it is needed, and after it could not be loaded. */
let worker = null;
const waiting = new Map();
let last = 0;

/** Begins to load what makes shapes of answers, unless it is there: call it early, so that no answer waits for it. */
export function prepare() {
  if (worker) return;
  worker = new Worker(new URL("making/worker.js", import.meta.url), { type: "module" });
  worker.onmessage = ({ data: { number, made, fault } }) => {
    const { resolve, reject } = waiting.get(number);
    waiting.delete(number);
    if (made) resolve(made);
    else reject(new Error(fault));
  };
  worker.onerror = () => {
    worker.terminate();
    worker = null;
    for (const { resolve } of waiting.values()) resolve(unloaded());
    waiting.clear();
  };
}

/** The shapes {coarse, fine|null} in the text of an answer, with their light. They come in the order of the calls. */
export async function shapesOf(text) {
  return (await variantOf(text)).shapes;
}

/** A variant: {shapes, seed, warnings} or {error, code}. */
export function variantOf(text) {
  prepare();
  const number = ++last;
  return new Promise((resolve, reject) => {
    waiting.set(number, { resolve, reject });
    worker.postMessage({ number, text });
  });
}
