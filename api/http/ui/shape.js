// From positions and normals, as the service sends them, to what a graphics card takes.

/**
 * A shape {count, size, low, high, index, normal}: index Int16Array [4n] (i, j, k, bits), normal Int8Array [4n]
 * (x, y, z, 127), size the edge of a voxel, low and high the bounds in world units. Bit 2a + s of the bits says that
 * there is a voxel next to it along axis a, below it (s = 0) or above it (s = 1): that face is never seen. What
 * making/light.js finds out is added later: in the bits above, and in place of 127.
 */
export function shapeOf(xyz, normals) {
  const count = xyz.length;
  const size = voxelSize(xyz);
  const index = new Int16Array(4 * count);
  const normal = new Int8Array(4 * count);
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  for (let n = 0; n < count; n++) {
    for (let axis = 0; axis < 3; axis++) {
      const voxel = Math.round(xyz[n][axis] / size - 0.5);
      index[4 * n + axis] = voxel;
      normal[4 * n + axis] = Math.round(127 * normals[n][axis]);
      low[axis] = Math.min(low[axis], voxel * size);
      high[axis] = Math.max(high[axis], (voxel + 1) * size);
    }
    normal[4 * n + 3] = 127;
  }
  const shape = { count, size, low, high, index, normal };
  lookAround(shape);
  return shape;
}

/** The edge of a voxel: the smallest gap between two centres along an axis; two neighbours are all it needs. */
function voxelSize(xyz) {
  let size = Infinity;
  for (let axis = 0; axis < 3; axis++) {
    const values = Float32Array.from(xyz, (point) => point[axis]).sort();
    for (let n = 1; n < values.length; n++) {
      const gap = values[n] - values[n - 1];
      if (gap > 1e-5 && gap < size) size = gap;
    }
  }
  // Centres are (i + 0.5) · size, and sizes are 1/resolution: the gap of two float32 is rounded to that.
  return size < Infinity ? 1 / Math.round(1 / size) : 1 / 32;
}

/** Finds the neighbours of each voxel. */
export function lookAround({ count, size, low, high, index }) {
  const start = low.map((value) => Math.round(value / size) - 1);
  const extent = high.map((value, axis) => Math.round(value / size) - start[axis] + 1);
  const strides = [extent[1] * extent[2], extent[2], 1];
  const cells = extent[0] * strides[0];
  // Rather draw faces that nobody sees than ask for gigabytes.
  if (cells > 2 ** 28) return;
  const taken = new Uint8Array(cells);
  const at = (n) =>
    (index[4 * n] - start[0]) * strides[0] + (index[4 * n + 1] - start[1]) * strides[1] + index[4 * n + 2] - start[2];
  for (let n = 0; n < count; n++) taken[at(n)] = 1;
  for (let n = 0; n < count; n++) {
    const place = at(n);
    for (let axis = 0; axis < 3; axis++) {
      if (taken[place - strides[axis]]) index[4 * n + 3] |= 1 << (2 * axis);
      if (taken[place + strides[axis]]) index[4 * n + 3] |= 2 << (2 * axis);
    }
  }
}
