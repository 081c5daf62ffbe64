// The colours that files have, out of the service's VOX of a shape.

/** Sides of the parts in which a larger shape is written. */
const SIDE = 256;

/**
 * Red, green, blue and 255 of each voxel, Uint8Array [4n].
 * @param {ArrayBuffer} vox as the service makes it: of all the shape's voxels in their order, part by part
 */
export function coloursOf(vox, shape) {
  const data = new DataView(vox);
  const [entries, palette] = [[], []];
  // Behind the head of the file and that of its main chunk, each chunk has a name and the length of its content.
  for (let at = 20, length; at < vox.byteLength; at += 12 + length) {
    length = data.getUint32(at + 4, true);
    const content = at + 12;
    const name = String.fromCharCode(...new Uint8Array(vox, at, 4));
    if (name === "XYZI") for (let n = 0; n < data.getUint32(content, true); n++) entries.push(data.getUint8(content + 7 + 4 * n));
    if (name === "RGBA") palette.push(...new Uint8Array(vox, content, length));
  }
  if (entries.length !== shape.count) throw new Error("The file has not the voxels of this shape: make it again.");
  const colours = new Uint8Array(4 * shape.count);
  for (const [n, voxel] of orderOf(shape).entries()) {
    const entry = 4 * (entries[n] - 1);
    for (let part = 0; part < 4; part++) colours[4 * voxel + part] = palette[entry + part];
  }
  return colours;
}

/** The voxels as the file has them: its x is the shape's, its y comes from the front, and its z is up. */
function orderOf({ count, size, low, high, index }) {
  const order = Uint32Array.from({ length: count }, (_, n) => n);
  if (Math.max(...low.map((value, axis) => high[axis] - value)) <= SIDE * size) return order;
  const [left, bottom] = low.map((value) => Math.round(value / size));
  const front = Math.round(high[2] / size) - 1;
  const part = Uint32Array.from({ length: count }, (_, n) => {
    const [x, y, z] = [index[4 * n] - left, front - index[4 * n + 2], index[4 * n + 1] - bottom];
    return ((Math.floor(z / SIDE) << 10) | (Math.floor(y / SIDE) << 5)) | Math.floor(x / SIDE);
  });
  return order.sort((one, other) => part[one] - part[other] || one - other);
}
