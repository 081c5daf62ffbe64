// The surface that files of meshes hold, out of the service's GLB of a shape.
import { BufferAttribute, BufferGeometry, Mesh, ShaderMaterial } from "../vendor/three-0.187.0.min.js";
import { shading } from "../shaders.js";

const ARRAYS = { 5123: Uint16Array, 5125: Uint32Array, 5126: Float32Array };
const LENGTHS = { SCALAR: 1, VEC3: 3, VEC4: 4 };
const LINES = 0.25;
/** Largest grid in which the light of voxels is looked up; without it the surface has no shadows. */
const MOST_CELLS = 2 ** 25;

const vertexShader = /* glsl */ `
  attribute vec4 color;
  attribute vec2 light;
  varying vec3 vNormal;
  varying vec3 vColour;
  varying vec2 vLight;
  void main() {
    vNormal = normal;
    vColour = color.rgb;
    vLight = light;
    gl_Position = projectionMatrix * viewMatrix * vec4(position, 1.0);
  }
`;
const fragmentShader = /* glsl */ `
  ${shading}
  varying vec3 vColour;
  void main() {
    vec3 n = normalize(vNormal);
    gl_FragColor = vec4(shaded(n, vColour, vColour), 1.0);
    #include <colorspace_fragment>
  }
`;
const lineShader = /* glsl */ `
  void main() { gl_FragColor = vec4(0.0, 0.0, 0.0, ${LINES}); }
`;

/**
 * The surface of a shape: {meshes, show(visible), vertices, triangles}. Its lines are drawn while `wire` is set.
 * @param {ArrayBuffer} glb as the service makes it: one mesh of triangles with normals and colours, in world units
 */
export function surfaceOf(glb, shape, wire) {
  const { POSITION, NORMAL, COLOR_0, indices } = arraysOf(glb);
  const geometry = new BufferGeometry();
  geometry.setIndex(new BufferAttribute(indices, 1));
  geometry.setAttribute("position", new BufferAttribute(POSITION, 3));
  geometry.setAttribute("normal", new BufferAttribute(NORMAL, 3));
  geometry.setAttribute("color", new BufferAttribute(COLOR_0, 4, true));
  geometry.setAttribute("light", new BufferAttribute(lightOn(POSITION, NORMAL, shape), 2));
  // The lines lie before the faces.
  const behind = { polygonOffset: true, polygonOffsetFactor: 1, polygonOffsetUnits: 1 };
  const uniforms = { colours: { value: 0 } };
  const faces = new Mesh(geometry, new ShaderMaterial({ vertexShader, fragmentShader, uniforms, ...behind }));
  const lines = new Mesh(geometry, new ShaderMaterial({ vertexShader, fragmentShader: lineShader, wireframe: true, transparent: true, depthWrite: false }));
  const surface = { meshes: [faces, lines], wire, vertices: POSITION.length / 3, triangles: indices.length / 3 };
  surface.show = (visible) => {
    faces.visible = visible;
    lines.visible = visible && surface.wire;
  };
  return surface;
}

/** The arrays of the first mesh of a GLB, by glTF's names. */
function arraysOf(glb) {
  const length = new DataView(glb).getUint32(12, true);
  const tree = JSON.parse(new TextDecoder().decode(new Uint8Array(glb, 20, length)));
  const { attributes, indices } = tree.meshes[0].primitives[0];
  const array = (number) => {
    const { bufferView, byteOffset = 0, componentType, count, type } = tree.accessors[number];
    const start = 28 + length + (tree.bufferViews[bufferView].byteOffset ?? 0) + byteOffset;
    return new ARRAYS[componentType](glb, start, count * LENGTHS[type]);
  };
  return { ...Object.fromEntries(Object.entries(attributes).map(([name, number]) => [name, array(number)])), indices: array(indices) };
}

/** How much of sky and lamp each vertex sees: as the voxel in which it lies, or below which. */
function lightOn(position, normal, { size, low, high, count, index, normal: light }) {
  const lit = new Float32Array((2 * position.length) / 3).fill(1);
  const first = low.map((value) => Math.round(value / size));
  const extent = high.map((value, axis) => Math.round(value / size) - first[axis]);
  if (extent[0] * extent[1] * extent[2] > MOST_CELLS) return lit;
  const voxels = new Int32Array(extent[0] * extent[1] * extent[2]);
  const cell = (place) => place.every((value, axis) => value >= 0 && value < extent[axis]) ? (place[0] * extent[1] + place[1]) * extent[2] + place[2] : -1;
  for (let n = 0; n < count; n++) voxels[cell([0, 1, 2].map((axis) => index[4 * n + axis] - first[axis]))] = n + 1;
  for (let v = 0; v < position.length; v += 3)
    for (const depth of [0, 0.5, 1, -0.5]) {
      const at = cell([0, 1, 2].map((axis) => Math.floor(position[v + axis] / size - depth * normal[v + axis]) - first[axis]));
      const n = at < 0 ? -1 : voxels[at] - 1;
      if (n < 0) continue;
      lit.set([light[4 * n + 3] / 127, (index[4 * n + 3] >> 6 & 255) / 255], (2 * v) / 3);
      break;
    }
  return lit;
}
