// In the background: an answer's text becomes shapes, with their light. A variant tells its seed, warnings or error too.
import { LAMP_AT } from "../lamp.js";
import { light } from "./light.js";
import { unpacked } from "./packed.js";
import { shapeOf } from "../shape.js";

/** Answers leave in the order in which they came. */
let before = Promise.resolve();

addEventListener("message", ({ data: { number, text } }) => {
  before = before.then(async () => {
    try {
      const made = await madeOf(JSON.parse(text));
      const shapes = Object.values(made.shapes ?? {}).filter(Boolean);
      const buffers = shapes.flatMap(({ index, normal, ground }) => [index.buffer, normal.buffer, ground.shade.buffer]);
      postMessage({ number, made }, buffers);
    } catch (error) {
      postMessage({ number, fault: String(error) });
    }
  });
});

/** Of a packed answer the coarse shape may be missing, which was told before. */
async function madeOf(answer) {
  if (answer.error) return { error: answer.error, code: answer.code };
  const { coarse_xyz, coarse_normal, fine_xyz, fine_normal, coarse, fine } = answer;
  const packed = coarse !== undefined || fine !== undefined;
  const shapes = packed
    ? { coarse: coarse ? await unpacked(coarse) : null, fine: fine ? await unpacked(fine) : null }
    : { coarse: shapeOf(coarse_xyz, coarse_normal), fine: fine_xyz ? shapeOf(fine_xyz, fine_normal) : null };
  for (const shape of [shapes.coarse, shapes.fine]) if (shape) light(shape, LAMP_AT);
  return { shapes, seed: answer.seed_text, warnings: answer.warnings ?? [] };
}
