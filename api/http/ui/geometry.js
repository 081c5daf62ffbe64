// What the graphics card gets of a shape.
import {
  BufferAttribute, BufferGeometry, InstancedBufferAttribute, InstancedBufferGeometry,
} from "./vendor/three-0.187.0.min.js";

/** The three faces of a cube that a vertex shader turns to the eye, once for every voxel. */
export function voxelGeometry({ count, index, normal }) {
  const position = [];
  const face = [];
  const side = [];
  const corners = [];
  for (let axis = 0; axis < 3; axis++) {
    for (const [u, v] of [[0, 0], [1, 0], [1, 1], [0, 1]]) {
      const corner = [0, 0, 0];
      corner[axis] = 0.5;
      corner[(axis + 1) % 3] = u - 0.5;
      corner[(axis + 2) % 3] = v - 0.5;
      position.push(...corner);
      face.push(...[0, 1, 2].map((other) => Number(other === axis)));
      side.push(u, v);
    }
    corners.push(...[0, 1, 2, 0, 2, 3].map((corner) => 4 * axis + corner));
  }
  const geometry = new InstancedBufferGeometry();
  geometry.setIndex(corners);
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(position), 3));
  geometry.setAttribute("face", new BufferAttribute(new Float32Array(face), 3));
  geometry.setAttribute("side", new BufferAttribute(new Float32Array(side), 2));
  geometry.setAttribute("voxel", new InstancedBufferAttribute(index, 4));
  geometry.setAttribute("normal4", new InstancedBufferAttribute(normal, 4, true));
  geometry.instanceCount = count;
  return geometry;
}

/** The middles of the voxels. */
export function pointGeometry({ index, normal }) {
  const geometry = new BufferGeometry();
  geometry.setAttribute("voxel", new BufferAttribute(index, 4));
  // Its length is how many points there are.
  geometry.setAttribute("position", geometry.getAttribute("voxel"));
  geometry.setAttribute("normal4", new BufferAttribute(normal, 4, true));
  return geometry;
}
