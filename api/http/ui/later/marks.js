// What stands around a shape: its axes with their lengths, and the box in which alone a variation changes it.
import { BufferAttribute, BufferGeometry, Color, Mesh, ShaderMaterial, Vector3 } from "../vendor/three-0.187.0.min.js";
import { sizeOf } from "../stage.js";

const NAMES = ["x", "y", "z"];
const COLOURS = ["#d2452f", "#3f8f3a", "#3b76d0"];
const BOX = "#e0762f";
const vertexShader = "void main() { gl_Position = projectionMatrix * viewMatrix * vec4(position, 1.0); }";
const fragmentShader = /* glsl */ `
  uniform vec3 colour;
  void main() {
    gl_FragColor = vec4(colour, 1.0);
    #include <colorspace_fragment>
  }
`;

export class Marks {
  /** @param {object} viewer in which they are drawn; their texts lie over its canvas */
  constructor(viewer) {
    this.viewer = viewer;
    this.axes = false;
    this.box = null;
    this.meshes = [];
    this.ends = [];
    this.labels = NAMES.map((name) => {
      const label = document.createElement("span");
      label.className = `axis ${name}`;
      // The same is told in words below the shape.
      label.setAttribute("aria-hidden", "true");
      viewer.canvas.after(label);
      return label;
    });
  }

  /** @param {{axes?: boolean, box?: number[]|null}} wanted */
  set(wanted) {
    Object.assign(this, wanted);
    this.around(this.viewer.shape);
    this.viewer.draw();
  }

  /** Puts the marks around a shape, or away. */
  around(shape) {
    const { scene } = this.viewer;
    for (const mesh of this.meshes) {
      scene.remove(mesh);
      mesh.geometry.dispose();
      mesh.material.dispose();
    }
    this.meshes = [];
    this.ends = [];
    if (shape && this.axes) this.addAxes(shape);
    if (shape && this.box) this.add(edgesOf(this.box), BOX, 0.0025);
    for (const mesh of this.meshes) scene.add(mesh);
    this.label(this.viewer.camera);
  }

  addAxes(shape) {
    const { low, high, size } = shape;
    const corner = low.map((value) => value - 2 * size);
    const { blocks, mm } = sizeOf(shape);
    for (const [axis, name] of NAMES.entries()) {
      const end = corner.map((value, other) => (other === axis ? high[axis] : value));
      this.add([[corner, end]], COLOURS[axis], 0.003);
      this.ends.push(new Vector3(...end));
      this.labels[axis].textContent = `${name} ${blocks.split(" × ")[axis]} · ${mm.split(" × ")[axis]} mm`;
    }
  }

  add(lines, colour, thickness) {
    const uniforms = { colour: { value: new Color(colour) } };
    const mesh = new Mesh(barsOf(lines, thickness), new ShaderMaterial({ vertexShader, fragmentShader, uniforms }));
    mesh.frustumCulled = false;
    this.meshes.push(mesh);
  }

  /** For a picture of the shape alone. */
  hide(away = true) {
    for (const mesh of this.meshes) mesh.visible = !away;
  }

  /** Moves the texts to where the axes end. */
  label(camera) {
    const { clientWidth, clientHeight } = this.viewer.canvas;
    for (const [axis, label] of this.labels.entries()) {
      const end = this.ends[axis]?.clone().project(camera);
      label.hidden = !end || Math.abs(end.z) > 1;
      if (end) label.style.translate = `${((end.x + 1) / 2) * clientWidth}px ${((1 - end.y) / 2) * clientHeight}px`;
    }
  }
}

/** The twelve edges of a box of six numbers. */
function edgesOf(box) {
  const corner = (n) => [0, 1, 2].map((axis) => box[(n >> axis) & 1 ? axis + 3 : axis]);
  const edges = [];
  for (let n = 0; n < 8; n++) for (let axis = 0; axis < 3; axis++) if (!((n >> axis) & 1)) edges.push([corner(n), corner(n | (1 << axis))]);
  return edges;
}

/** Lines along axes as bars, since graphics cards draw lines one pixel wide. */
function barsOf(lines, thickness) {
  const position = [];
  const order = [];
  for (const [from, to] of lines) {
    const first = position.length / 3;
    for (let n = 0; n < 8; n++)
      for (let axis = 0; axis < 3; axis++) position.push((n >> axis) & 1 ? to[axis] + thickness : from[axis] - thickness);
    for (const face of [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]])
      for (const corner of [0, 1, 2, 0, 2, 3]) order.push(first + face[corner]);
  }
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(position), 3));
  geometry.setIndex(order);
  return geometry;
}
