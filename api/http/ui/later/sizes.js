// In the background: how large the files of a shape will be, in bytes by format. Where a file's size depends on more than
// is known here, the numbers below were measured on shapes of the demo models: docs/page.md tells how close they come.
import { half } from "../lighter.js";
import { skinOf } from "./skin.js";

/** Where the light comes from that chooses blocks of Minecraft, and the blocks of most materials: see formats/paint.py. */
const LAMP = [0.62, 0.7, 0.35];
const BLOCKS = 3;
/** Cells of the largest box that is compressed to see how large it becomes. */
const MOST_CELLS = 2 ** 25;

addEventListener("message", async ({ data: { number, shapes, surface } }) => {
  const sizes = await sizesOf(shapes, surface ?? skinOf(shapes.fine ?? shapes.coarse, half));
  postMessage({ number, sizes, exact: surface ? ["nvdb", "stl"] : ["nvdb"] });
});

/** `surface` tells vertices and triangles of the surface. */
async function sizesOf({ coarse, fine }, { vertices, triangles }) {
  const finest = fine ?? coarse;
  const { count } = finest;
  const all = [coarse, fine].filter(Boolean);
  const [cubes, pairs] = octreeOf(finest);
  return {
    json: all.reduce((sum, shape) => sum + textOf(shape), 80),
    npz: (await Promise.all(all.map(arraysOf))).reduce((sum, one) => sum + one, 900),
    ply: 27 * count + 340,
    glb: 32 * vertices + 12 * triangles + 1280,
    "glb-points": 32 * count + 990,
    usdz: usdOf(vertices, triangles),
    obj: 66 * vertices + triangles * (9 + 6 * digitsOf(vertices)) + 100,
    stl: 50 * triangles + 84,
    "3mf": 25 * vertices + 400,
    vox: 4 * count + 1330,
    ...(await worldsOf(finest)),
    nbt: 3.6 * count + 470,
    csm: 18.9 * (cubes + pairs),
    bcf: bytesOf(cubes, pairs),
    nvdb: fogOf(finest),
    report: 460,
  };
}

/** Digits of positions, which depend on the size of a voxel, and of normals. */
function textOf({ count, size, index }) {
  const digits = new Map();
  let sum = 0;
  for (let n = 0; n < 4 * count; n += 4)
    for (let axis = 0; axis < 3; axis++) {
      const voxel = index[n + axis];
      if (!digits.has(voxel)) digits.set(voxel, String(Number(((voxel + 0.5) * size).toPrecision(8))).length);
      sum += digits.get(voxel);
    }
  return sum + (4 + 36.5) * count;
}

/** Indices, which are compressed, and normals of two bytes. */
async function arraysOf({ count, index }) {
  return 6 * count + (await compressed(index.filter((_, n) => (n & 3) < 3)));
}

/** Rows of fixed lengths, see formats/usdz.py; of colours there are 10 to 99. */
function usdOf(vertices, triangles) {
  return 52 * vertices + triangles * (2 + 3 * (String(vertices).length + 1) + 9) + 2300;
}

/** The digits of the numbers up to a limit, on average. */
function digitsOf(limit) {
  let [sum, ten] = [0, 1];
  for (let length = 1; ten <= limit; length++, ten *= 10) sum += length * (Math.min(limit + 1, 10 * ten) - ten);
  return sum / limit;
}

/** Cubes of two voxels a side, and larger ones, that hold a voxel. */
function octreeOf({ size, index }) {
  const levels = Math.max(1, Math.ceil(Math.log2(1 / size)));
  const found = Array.from({ length: levels - 1 }, (_, level) => brickCount(index, level + 1));
  return [found[0] ?? 1, found.slice(1).reduce((sum, one) => sum + one, 1)];
}

/** Bytes of a bcf file, whose pointers are as long as the file needs. */
function bytesOf(cubes, larger) {
  const bare = 13 + 8 * cubes + 8 * larger;
  const pointer = [1, 2, 4].find((bytes) => bare + 8 * bytes * larger <= 256 ** bytes) ?? 4;
  return bare + 8 * pointer * larger;
}

/** Nodes of a NanoVDB tree, see formats/nanovdb.py. */
function fogOf({ index }) {
  const [leaves, lower, upper] = [3, 7, 12].map((level) => brickCount(index, level));
  return 1000 + 2144 * leaves + 33856 * lower + (270400 + 32) * upper;
}

/** The cubes of 2 ** level voxels a side in which there are voxels. */
function brickCount(index, level) {
  const keys = new Uint32Array(index.length / 4);
  for (let n = 0; n < keys.length; n++)
    for (let axis = 0; axis < 3; axis++) keys[n] = (keys[n] << 10) | ((index[4 * n + axis] >> level) & 1023);
  keys.sort();
  return keys.reduce((sum, key, n) => sum + (n === 0 || key !== keys[n - 1]), 0);
}

/** Schematics are boxes that gzip makes smaller, with less care than the browser does; one of them has two bits for a place. */
async function worldsOf(shape) {
  const sides = shape.low.map((value, axis) => Math.round((shape.high[axis] - value) / shape.size));
  if (sides[0] * sides[1] * sides[2] > MOST_CELLS) return {};
  const box = boxOf(shape, sides);
  const pairs = new Uint8Array(8 * Math.ceil(box.length / 32));
  for (let n = 0; n < box.length; n++) pairs[(n >> 2) ^ 7] |= box[n] << (2 * (n & 3));
  const [bytes, bits] = await Promise.all([compressed(box), compressed(pairs)]);
  const schem = 400 + bytes * (1.5 + 0.1 * Math.log2(Math.max(1, bytes / 800)));
  return { schem, "schem-v3": schem, litematic: 450 + bits * Math.min(1.4, 1.08 + 0.06 * Math.log2(Math.max(1, bits / 800))) };
}

/** The box with a block for each voxel: x goes fastest, then z, then y. */
function boxOf({ count, size, low, index, normal }, sides) {
  const box = new Uint8Array(sides[0] * sides[1] * sides[2]);
  const first = low.map((value) => Math.round(value / size));
  for (let n = 0; n < 4 * count; n += 4) {
    const [x, y, z] = [0, 1, 2].map((axis) => index[n + axis] - first[axis]);
    const light = 0.5 + (LAMP[0] * normal[n] + LAMP[1] * normal[n + 1] + LAMP[2] * normal[n + 2]) / 254;
    const shade = 0.8 * light + (0.2 * y) / Math.max(1, sides[1] - 1);
    box[(y * sides[2] + z) * sides[0] + x] = 1 + Math.max(0, Math.min(BLOCKS - 1, Math.floor(BLOCKS * shade)));
  }
  return box;
}

async function compressed(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return (await new Response(stream).arrayBuffer()).byteLength;
}
