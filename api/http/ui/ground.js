// The soft shadow on the ground under a shape.
import { DataTexture, LinearFilter, Mesh, PlaneGeometry, RedFormat, ShaderMaterial } from "./vendor/three-0.187.0.min.js";
import { groundFragment, groundVertex } from "./shaders.js";

/** A mesh that lies under a shape that has its light. */
export function groundOf({ ground: { side, span, x, z, shade }, low, size }) {
  const texture = new DataTexture(shade, side, side, RedFormat);
  texture.magFilter = LinearFilter;
  texture.needsUpdate = true;
  const material = new ShaderMaterial({
    vertexShader: groundVertex,
    fragmentShader: groundFragment,
    uniforms: { map: { value: texture } },
    transparent: true,
    depthWrite: false,
  });
  const mesh = new Mesh(new PlaneGeometry(span, span), material);
  mesh.rotation.x = -Math.PI / 2;
  mesh.position.set(x, low[1] - 0.02 * size, z);
  mesh.renderOrder = -1;
  return mesh;
}
