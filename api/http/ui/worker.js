// In the background: an answer's text becomes shapes, with their light.
import { light } from "./light.js";
import { shapeOf } from "./shape.js";

addEventListener("message", ({ data: { number, text } }) => {
  try {
    const answer = JSON.parse(text);
    const coarse = made(answer.coarse_xyz, answer.coarse_normal);
    const fine = answer.fine_xyz ? made(answer.fine_xyz, answer.fine_normal) : null;
    const buffers = [coarse, fine].flatMap((shape) => (shape ? [shape.index, shape.normal, shape.ground.shade] : []));
    postMessage({ number, shapes: { coarse, fine } }, buffers.map((array) => array.buffer));
  } catch (error) {
    postMessage({ number, fault: String(error) });
  }
});

function made(xyz, normal) {
  const shape = shapeOf(xyz, normal);
  light(shape);
  return shape;
}
