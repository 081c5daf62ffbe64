// A shape of half as many voxels along each axis, which is soon drawn.
import { lookAround } from "./shape.js";

/** The shape whose voxels are there if one of the eight finer ones is; it has their mean light, normal and tint. */
export function half(shape) {
  const { size, low, high, index, normal, tint } = shape;
  const first = low.map((value) => Math.round(value / size) >> 1);
  const extent = high.map((value, axis) => (Math.round(value / size) >> 1) - first[axis] + 1);
  const place = new Map();
  const sums = [];
  for (let n = 0; n < index.length; n += 4) {
    const [i, j, k] = [index[n] >> 1, index[n + 1] >> 1, index[n + 2] >> 1];
    const at = ((i - first[0]) * extent[1] + j - first[1]) * extent[2] + k - first[2];
    let sum = place.get(at);
    if (sum === undefined) place.set(at, (sum = sums.push([i, j, k, 0, 0, 0, 0, 0, 0, 0, 0, 0]) - 1));
    const into = sums[sum];
    into[3]++;
    for (let part = 0; part < 4; part++) into[4 + part] += normal[n + part];
    into[8] += index[n + 3] >> 6;
    if (tint) for (let part = 0; part < 3; part++) into[9 + part] += tint[n + part];
  }
  const count = sums.length;
  const made = { ...shape, count, size: 2 * size, index: new Int16Array(4 * count), normal: new Int8Array(4 * count) };
  if (tint) made.tint = new Uint8Array(4 * count);
  for (const [n, [i, j, k, voxels, x, y, z, sky, lamp, ...colour]] of sums.entries()) {
    const length = Math.hypot(x, y, z) || 1;
    made.index.set([i, j, k, Math.round(lamp / voxels) << 6], 4 * n);
    made.normal.set([(127 * x) / length, (127 * y) / length, (127 * z) / length, sky / voxels], 4 * n);
    made.tint?.set([...colour.map((sum) => sum / voxels), 255], 4 * n);
  }
  made.low = low.map((value) => Math.floor(value / made.size) * made.size);
  made.high = high.map((value) => Math.ceil(value / made.size) * made.size);
  lookAround(made);
  return made;
}
