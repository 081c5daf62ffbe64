// Shapes out of the service's answers. The work is done in the background, so that the page stays quick.

const worker = new Worker(new URL("making/worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let last = 0;

worker.addEventListener("message", ({ data: { number, made, fault } }) => {
  const { resolve, reject } = waiting.get(number);
  waiting.delete(number);
  if (made) resolve(made);
  else reject(new Error(fault));
});

worker.addEventListener("error", () => {
  for (const { reject } of waiting.values()) reject(new Error("The page's files are incomplete: load it again."));
  waiting.clear();
});

/** The shapes {coarse, fine|null} in the text of an answer, with their light. They come in the order of the calls. */
export async function shapesOf(text) {
  return (await variantOf(text)).shapes;
}

/** A variant: {shapes, seed, warnings} or {error, code}. */
export function variantOf(text) {
  const number = ++last;
  return new Promise((resolve, reject) => {
    waiting.set(number, { resolve, reject });
    worker.postMessage({ number, text });
  });
}
