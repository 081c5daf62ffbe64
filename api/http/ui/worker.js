// In the background: an answer's text becomes shapes, with their light. A variant tells its seed, warnings or error too.
import { light } from "./light.js";
import { shapeOf } from "./shape.js";

addEventListener("message", ({ data: { number, text } }) => {
  try {
    const answer = JSON.parse(text);
    if (answer.error) return postMessage({ number, made: { error: answer.error, code: answer.code } });
    const coarse = lit(answer.coarse_xyz, answer.coarse_normal);
    const fine = answer.fine_xyz ? lit(answer.fine_xyz, answer.fine_normal) : null;
    const buffers = [coarse, fine].flatMap((shape) => (shape ? [shape.index, shape.normal, shape.ground.shade] : []));
    const made = { shapes: { coarse, fine }, seed: answer.seed_text, warnings: answer.warnings ?? [] };
    postMessage({ number, made }, buffers.map((array) => array.buffer));
  } catch (error) {
    postMessage({ number, fault: String(error) });
  }
});

function lit(xyz, normal) {
  const shape = shapeOf(xyz, normal);
  light(shape);
  return shape;
}
