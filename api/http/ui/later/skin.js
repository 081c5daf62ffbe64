// How large the surface of a shape is, without drawing it: as formats/surface.py makes it.

const MARGIN = 3;
const REACH = 6;
/** Value of a voxel with nothing solid behind it. */
const THIN = -0.5;
/** Cells of the largest grid; a shape that needs a larger one is halved first. */
const MOST_CELLS = 2 ** 23;

/**
 * Vertices and triangles of the surface around voxels.
 * @param {(shape: object) => object} half halves a shape, see lighter.js
 */
export function skinOf(shape, half) {
  const grid = gridOf(shape);
  if (grid.cells > MOST_CELLS) {
    const { vertices, triangles } = skinOf(half(shape), half);
    return { vertices: 4 * vertices, triangles: 4 * triangles };
  }
  const open = openOf(shape, grid);
  let vertices = 0;
  for (const step of grid.strides)
    for (let cell = step; cell < grid.cells; cell++) if (open[cell] !== open[cell - step]) vertices++;
  // Around most shapes there are two more triangles than twice as many.
  return { vertices, triangles: 2 * vertices };
}

function gridOf({ low, high, size, count, index }) {
  const first = low.map((value) => Math.round(value / size) - MARGIN);
  const sides = high.map((value, axis) => Math.round(value / size) - first[axis] + MARGIN);
  const strides = [sides[1] * sides[2], sides[2], 1];
  const at = new Int32Array(count);
  for (let n = 0; n < count; n++)
    for (let axis = 0; axis < 3; axis++) at[n] += (index[4 * n + axis] - first[axis]) * strides[axis];
  return { cells: sides[0] * strides[0], strides, at };
}

/** For each cell whether the surface's function is positive there. */
function openOf({ count, normal }, { cells, strides, at }) {
  const weight = new Float32Array(cells);
  const field = new Float32Array(cells);
  for (const offset of offsets(REACH)) {
    const share = Math.exp(-lengthOf(offset) / 2);
    const step = stepOf(offset, strides);
    for (let n = 0; n < count; n++) {
      const along = normal[4 * n] * offset[0] + normal[4 * n + 1] * offset[1] + normal[4 * n + 2] * offset[2];
      weight[at[n] + step] += share;
      field[at[n] + step] += (share * along) / 127;
    }
  }
  const wall = new Uint8Array(cells);
  for (let cell = 0; cell < cells; cell++) wall[cell] = weight[cell] > 0 && field[cell] <= 0 ? 1 : 0;
  for (const cell of at) wall[cell] = 2;
  const open = outsideOf(wall, strides);
  const around = offsets(3).map((offset) => stepOf(offset, strides));
  const beside = offsets(1).map((offset) => stepOf(offset, strides));
  const own = at.map((cell) => {
    const behind = around.some((step) => wall[cell + step] !== 2 && !open[cell + step]);
    const value = behind ? field[cell] / weight[cell] : THIN;
    return value >= 0 && beside.some((step) => open[cell + step]) ? 1 : 0;
  });
  for (let n = 0; n < count; n++) open[at[n]] = own[n];
  return open;
}

/** What can be reached from the first cell without crossing a wall. The border has none, so steps around it do no harm. */
function outsideOf(wall, strides) {
  const outside = new Uint8Array(wall.length);
  const waiting = new Int32Array(wall.length);
  let length = 1;
  outside[0] = 1;
  while (length) {
    const cell = waiting[--length];
    for (const stride of strides)
      for (const next of [cell - stride, cell + stride]) {
        if (next < 0 || next >= wall.length || outside[next] || wall[next]) continue;
        outside[next] = 1;
        waiting[length++] = next;
      }
  }
  return outside;
}

/** Steps of at most a squared length. */
function offsets(reach) {
  const axis = [-2, -1, 0, 1, 2];
  return axis.flatMap((x) => axis.flatMap((y) => axis.map((z) => [x, y, z]))).filter((offset) => lengthOf(offset) <= reach);
}

function lengthOf([x, y, z]) {
  return x * x + y * y + z * z;
}

function stepOf(offset, strides) {
  return offset.reduce((sum, value, axis) => sum + value * strides[axis], 0);
}
