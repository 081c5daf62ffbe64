// The soft shadow under a shape: how much of it is above each spot of the ground, blurred.
import { DataTexture, LinearFilter, Mesh, PlaneGeometry, RedFormat, ShaderMaterial } from "./vendor/three-0.187.0.min.js";
import { shadowFragment, shadowVertex } from "./shaders.js";

const SIDE = 96;
const BLUR = 7;
const MARGIN = 1.5;

/** A mesh that lies under a shape. */
export function shadowOf({ count, size, low, high, index }) {
  const centre = [0, 2].map((axis) => (low[axis] + high[axis]) / 2);
  const span = MARGIN * Math.max(high[0] - low[0], high[2] - low[2], 0.4 * (high[1] - low[1]));
  const height = Math.max(high[1] - low[1], size);
  let map = new Float32Array(SIDE * SIDE);
  const cells = (size / span) * SIDE;
  for (let n = 0; n < count; n++) {
    const column = ((index[4 * n] * size - centre[0]) / span + 0.5) * SIDE;
    const row = (0.5 - ((index[4 * n + 2] + 1) * size - centre[1]) / span) * SIDE;
    // What is near the ground shades it more.
    const near = 1 - ((index[4 * n + 1] + 0.5) * size - low[1]) / height;
    const shade = 0.35 + 0.65 * near * near;
    for (let y = Math.floor(row); y < row + cells; y++)
      for (let x = Math.floor(column); x < column + cells; x++)
        map[y * SIDE + x] = Math.max(map[y * SIDE + x], shade);
  }
  for (let pass = 0; pass < 3; pass++) map = blurred(blurred(map, 1, SIDE), SIDE, 1);
  const texture = new DataTexture(Uint8Array.from(map, (value) => 255 * value), SIDE, SIDE, RedFormat);
  texture.magFilter = LinearFilter;
  texture.needsUpdate = true;
  const material = new ShaderMaterial({
    vertexShader: shadowVertex,
    fragmentShader: shadowFragment,
    uniforms: { map: { value: texture }, strength: { value: 0.4 } },
    transparent: true,
    depthWrite: false,
  });
  const mesh = new Mesh(new PlaneGeometry(span, span), material);
  mesh.rotation.x = -Math.PI / 2;
  mesh.position.set(centre[0], low[1] - 0.002, centre[1]);
  mesh.renderOrder = -1;
  return mesh;
}

/** A box blur along one axis of the map; outside it there is no shadow. */
function blurred(map, step, stride) {
  const result = new Float32Array(map.length);
  for (let row = 0; row < SIDE; row++) {
    const start = row * stride;
    let sum = 0;
    for (let n = -BLUR; n < SIDE; n++) {
      if (n + BLUR < SIDE) sum += map[start + (n + BLUR) * step];
      if (n - BLUR - 1 >= 0) sum -= map[start + (n - BLUR - 1) * step];
      if (n >= 0) result[start + n * step] = Math.max(0, sum / (2 * BLUR + 1));
    }
  }
  return result;
}
