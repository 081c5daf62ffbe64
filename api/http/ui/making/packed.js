// Shapes as the service packs them: Base64 of gzip of size, count, indices and normals, as docs/http.md says.
import { lookAround } from "../shape.js";

/** A shape as shapeOf gives it, from the texts in an event. */
export async function unpacked(pieces) {
  const text = atob(pieces.join(""));
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const data = new DataView(await new Response(stream).arrayBuffer());
  const count = data.getUint32(4, true);
  // Sizes are 1 / resolution, rounded to a float32.
  const size = 1 / Math.round(1 / data.getFloat32(0, true));
  const index = new Int16Array(4 * count);
  const normal = new Int8Array(4 * count).fill(127);
  const [low, high] = [[], []];
  for (let axis = 0; axis < 3; axis++) {
    const indices = 8 + 2 * axis * count;
    const normals = 8 + (6 + axis) * count;
    let [least, most, value] = [Infinity, -Infinity, 0];
    for (let n = 0; n < count; n++) {
      value = ((value + data.getInt16(indices + 2 * n, true)) << 16) >> 16;
      index[4 * n + axis] = value;
      normal[4 * n + axis] = data.getInt8(normals + n);
      if (value < least) least = value;
      if (value > most) most = value;
    }
    low.push(least * size);
    high.push((most + 1) * size);
  }
  const shape = { count, size, low, high, index, normal };
  lookAround(shape);
  return shape;
}
