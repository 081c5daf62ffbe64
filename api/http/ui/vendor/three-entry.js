export {
  BufferAttribute, BufferGeometry, Color, DataTexture, DoubleSide, InstancedBufferAttribute, InstancedBufferGeometry,
  LinearFilter, Mesh, PerspectiveCamera, PlaneGeometry, Points, RedFormat, Scene, ShaderMaterial, Spherical, Vector3, WebGLRenderer,
} from 'three';
export { OrbitControls } from 'three/addons/controls/OrbitControls.js';
