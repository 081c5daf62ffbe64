// The 3-D view, drawn only when something changes.
import {
  Color, Mesh, OrbitControls, PerspectiveCamera, Points, Scene, ShaderMaterial, Spherical, Vector3, WebGLRenderer,
} from "./vendor/three-0.187.0.min.js";
import { Ease } from "./ease.js";
import { pointGeometry, voxelGeometry } from "./geometry.js";
import { groundOf } from "./ground.js";
import { half } from "./lighter.js";
import { pointFragment, pointVertex, voxelFragment, voxelVertex } from "./shaders.js";

const FIELD_OF_VIEW = 32;
const AZIMUTH = (35 * Math.PI) / 180;
const ELEVATION = (22 * Math.PI) / 180;
const TURN = Math.PI / 24;
const APPEAR_MS = 700;
const MARGIN = 1.12;
const CLAY = "#dd9a76";
// Room in pixels that is kept for what lies over the view, above and below.
const INSETS = { wide: [70, 92], narrow: [60, 128] };

export class Viewer {
  /** @param {HTMLCanvasElement} canvas Throws where the browser has no WebGL 2. */
  constructor(canvas) {
    this.canvas = canvas;
    this.renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(FIELD_OF_VIEW, 1, 0.01, 50);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enableDamping = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.controls.minDistance = 0.2;
    this.controls.maxDistance = 8;
    this.ease = new Ease(() => this.draw());
    this.controls.addEventListener("change", () => this.moved());
    this.uniforms = {
      size: { value: 1 }, grow: { value: 1 }, low: { value: 0 }, high: { value: 1 }, pixels: { value: 1 },
      clay: { value: new Color(CLAY) }, colours: { value: 0 },
    };
    this.mode = "voxels";
    this.drawn = 0;
    this.objects = [];
    this.shape = null;
    /** Red, green, blue and 255 of each voxel, or null for clay. */
    this.tint = null;
    /** The surface as later/surface.js makes it, and what stands around the shape as later/marks.js does, once there is any. */
    this.surface = null;
    this.marks = null;
    canvas.addEventListener("keydown", (event) => this.onKey(event));
    canvas.addEventListener("webglcontextrestored", () => this.draw());
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  /** Shows a shape; the view stays where it is when `keep` is set and there was one before. It may grow as it appears. */
  show(shape, { keep = false, appear = true } = {}) {
    const first = this.shape === null;
    this.clear();
    this.shape = shape;
    const { uniforms } = this;
    uniforms.size.value = shape.size;
    [uniforms.low.value, uniforms.high.value] = [shape.low[1], shape.high[1]];
    this.ease.forget();
    this.add(groundOf(shape));
    this.fill();
    this.setMode(this.mode);
    this.marks?.around(shape);
    if (first || !keep) this.reset();
    if (appear) this.appear();
    else this.uniforms.grow.value = 1;
  }

  /** Paints the voxels of the shape on the screen, see `tint`. */
  paint(tint) {
    if (!this.shape || tint === this.tint) return;
    for (const object of [...this.voxels, this.points]) this.remove(object);
    this.tint = tint;
    this.fill();
    this.setMode(this.mode);
  }

  /** Makes voxels and points of the shape. */
  fill() {
    const shape = this.tint ? { ...this.shape, tint: this.tint } : this.shape;
    this.voxels = [this.voxelMesh(shape)];
    this.points = new Points(pointGeometry(shape), this.material(pointVertex, pointFragment));
    for (const object of [...this.voxels, this.points]) this.add(object);
  }

  add(object) {
    object.frustumCulled = false;
    this.scene.add(object);
    this.objects.push(object);
  }

  voxelMesh(shape) {
    const uniforms = { ...this.uniforms, size: { value: shape.size } };
    const ways = Array.from({ length: 6 }, () => this.material(voxelVertex, voxelFragment, uniforms));
    return Object.assign(new Mesh(voxelGeometry(shape), ways), { shape });
  }

  remove(object) {
    this.scene.remove(object);
    this.objects = this.objects.filter((other) => other !== object);
    object.geometry.dispose();
    for (const material of [object.material].flat()) {
      material.uniforms.map?.value.dispose();
      material.dispose();
    }
  }

  clear() {
    for (const object of this.objects) this.remove(object);
    this.shape = null;
    this.tint = null;
    this.surface = null;
    this.marks?.around(null);
    this.draw();
  }

  /** Takes the surface of the shape on the screen, which the mode of that name shows; until then it shows voxels. */
  setSurface(surface) {
    this.surface = surface;
    for (const mesh of surface.meshes) this.add(mesh);
    this.draw();
  }

  /** @param {"voxels"|"points"|"normals"|"surface"} mode */
  setMode(mode) {
    this.mode = mode;
    this.uniforms.colours.value = mode === "normals" ? 1 : this.tint ? 2 : 0;
    this.draw();
  }

  /** The whole shape, from the front right and above. */
  reset() {
    if (!this.shape) return;
    this.aim(this.free);
    this.draw();
  }

  /** Puts the camera where the shape fills the width of the picture, or a share of its height. */
  aim(share) {
    const { low, high } = this.shape;
    const half = new Vector3(...high).sub(new Vector3(...low)).divideScalar(2);
    const eye = new Vector3().setFromSpherical(new Spherical(1, Math.PI / 2 - ELEVATION, AZIMUTH));
    const right = new Vector3(0, 1, 0).cross(eye).normalize();
    const up = eye.clone().cross(right);
    const tangent = Math.tan((FIELD_OF_VIEW * Math.PI) / 360);
    let distance = this.controls.minDistance;
    for (let n = 0; n < 8; n++) {
      const corner = half.clone().multiply(new Vector3(n & 1 ? 1 : -1, n & 2 ? 1 : -1, n & 4 ? 1 : -1));
      const wide = Math.abs(corner.dot(right)) / (tangent * this.camera.aspect);
      const tall = Math.abs(corner.dot(up)) / (tangent * share);
      distance = Math.max(distance, corner.dot(eye) + MARGIN * Math.max(wide, tall));
    }
    this.controls.target.set(...low).add(half);
    this.camera.position.copy(eye).multiplyScalar(distance);
    this.camera.position.add(this.controls.target);
    this.controls.update();
  }

  /** A small square picture of the whole shape as a data URL, for the history. */
  thumbnail(side = 192) {
    const { camera, controls, renderer } = this;
    const [place, target] = [camera.position.clone(), controls.target.clone()];
    renderer.setSize(side, side, false);
    camera.aspect = 1;
    camera.clearViewOffset();
    this.aim(1);
    this.marks?.hide();
    this.renderWhole(1 / devicePixels());
    this.marks?.hide(false);
    const picture = this.canvas.toDataURL("image/webp", 0.8);
    camera.position.copy(place);
    controls.target.copy(target);
    controls.update();
    this.resize();
    return picture;
  }

  /** The picture on the screen as a PNG blob. */
  picture() {
    this.renderWhole();
    return new Promise((resolve) => this.canvas.toBlob(resolve, "image/png"));
  }

  /** Draws before the next refresh of the screen; many calls are one. */
  draw() {
    this.pending ??= requestAnimationFrame((now) => {
      this.pending = null;
      this.controls.update(Math.min(0.1, (now - this.drawn) / 1000));
      this.drawn = now;
      this.render();
    });
  }

  /** Turns the shape slowly, or stops that. */
  turn(on) {
    this.controls.autoRotate = on;
    this.moved();
  }

  /** What is seen has moved: until it rests, it is drawn as fast as it can be. */
  moved() {
    this.ease.move();
    this.draw();
  }

  render(allowed = this.ease.allowed) {
    const { ease, renderer } = this;
    const start = performance.now();
    if (this.shape) this.choose(allowed);
    renderer.render(this.scene, this.camera);
    this.marks?.label(this.camera);
    if (!ease.looks || allowed !== ease.allowed) return;
    const gl = renderer.getContext();
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
    ease.took(performance.now() - start);
  }

  /** Chooses what is drawn: pixels, the voxels in full or halved, and none of the faces that look away from the eye. */
  choose({ pixels, halvings }) {
    this.setPixels(pixels);
    this.canvas.dataset.detail = pixels < 1 || halvings ? "less" : "full";
    while (this.voxels.length <= halvings) {
      this.voxels.push(this.voxelMesh(half(this.voxels.at(-1).shape)));
      this.add(this.voxels.at(-1));
    }
    const surface = this.mode === "surface" && this.surface;
    const voxels = this.mode !== "points" && !surface;
    this.points.visible = this.mode === "points";
    for (const [level, mesh] of this.voxels.entries()) mesh.visible = voxels && level === halvings;
    this.surface?.show(Boolean(surface));
    const { shape, material } = this.voxels[halvings];
    const place = this.camera.position.toArray();
    for (const [way, side] of material.entries()) {
      const axis = way >> 1;
      side.visible = way & 1 ? place[axis] > shape.low[axis] : place[axis] < shape.high[axis];
    }
  }

  /** Draws so large a share of the pixels along each edge. */
  setPixels(share) {
    const ratio = share * devicePixels();
    if (this.renderer.getPixelRatio() === ratio) return;
    this.renderer.setPixelRatio(ratio);
    this.sizePoints();
  }

  sizePoints() {
    this.uniforms.pixels.value = this.canvas.height / (2 * Math.tan((FIELD_OF_VIEW * Math.PI) / 360));
  }

  /** Draws at once, and as if nothing were still appearing. */
  renderWhole(pixels = 1) {
    const { grow } = this.uniforms;
    const now = grow.value;
    grow.value = 1;
    this.render({ pixels, halvings: 0 });
    grow.value = now;
  }

  appear() {
    const { grow } = this.uniforms;
    if (!this.controls.enableDamping) {
      grow.value = 1;
      return;
    }
    const start = performance.now();
    const step = () => {
      grow.value = Math.min(1, (performance.now() - start) / APPEAR_MS);
      this.moved();
      if (grow.value < 1) requestAnimationFrame(step);
    };
    step();
  }

  material(vertexShader, fragmentShader, uniforms = this.uniforms) {
    return new ShaderMaterial({ vertexShader, fragmentShader, uniforms });
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    this.renderer.setSize(clientWidth, clientHeight, false);
    const [top, bottom] = clientWidth > 640 ? INSETS.wide : INSETS.narrow;
    this.free = Math.max(0.3, 1 - (top + bottom) / clientHeight);
    this.camera.aspect = clientWidth / clientHeight;
    this.camera.setViewOffset(clientWidth, clientHeight, 0, (bottom - top) / 2, clientWidth, clientHeight);
    this.sizePoints();
    this.draw();
  }

  onKey(event) {
    const turns = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const zooms = { "+": 1 / 1.15, "=": 1 / 1.15, "-": 1.15 };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in turns) this.move(turns[event.key].map((way) => way * TURN), 1);
    else if (event.key in zooms) this.move([0, 0], zooms[event.key]);
    else if (event.key === "0") this.reset();
    else return;
    event.preventDefault();
  }

  /** Goes around the shape by angles [azimuth, inclination], and nearer or further by a factor. */
  move([azimuth, inclination], factor) {
    const { controls, camera } = this;
    const place = new Spherical().setFromVector3(new Vector3().subVectors(camera.position, controls.target));
    place.theta += azimuth;
    place.phi += inclination;
    place.radius = Math.min(controls.maxDistance, Math.max(controls.minDistance, place.radius * factor));
    camera.position.setFromSpherical(place.makeSafe()).add(controls.target);
    controls.update();
    this.moved();
  }
}

function devicePixels() {
  return Math.min(devicePixelRatio, 2);
}
