// What the graphics card gets of a shape.
import { BufferAttribute, BufferGeometry } from "./vendor/three-0.187.0.min.js";

/** The corners of a face along the two axes that follow its own, in the order in which they lie around it. */
const CORNERS = [0, 1, 3, 2];

/**
 * The faces that somebody can see: those without a voxel next to them. They are sorted by where they look, so that a
 * view draws half of them: group 2a + s has those that look along axis a, down it (s = 0) or up (s = 1). Every corner is
 * a vertex of its own, with the voxel's colour where there is a tint: instances are drawn one by one where a processor does the work of a graphics card.
 */
export function voxelGeometry({ count, index, normal, tint }) {
  const faces = facesOf(count, index);
  const total = faces.reduce((sum, list) => sum + list.length, 0);
  const voxel = new Int16Array(16 * total);
  const normals = new Uint32Array(4 * total);
  const words = wordsOf(normal, count);
  const tints = tint && new Uint32Array(4 * total);
  const tintWords = tint && wordsOf(tint, count);
  const order = new Uint32Array(6 * total);
  const geometry = new BufferGeometry();
  let face = 0;
  for (let way = 0; way < 6; way++) {
    geometry.addGroup(6 * face, 6 * faces[way].length, way);
    // The front of a face is where its corners go around to the left.
    const around = way & 1 ? [0, 1, 2, 0, 2, 3] : [0, 2, 1, 0, 3, 2];
    for (const n of faces[way]) {
      for (let corner = 0; corner < 4; corner++) {
        const at = 4 * face + corner;
        voxel[4 * at] = index[4 * n];
        voxel[4 * at + 1] = index[4 * n + 1];
        voxel[4 * at + 2] = index[4 * n + 2];
        voxel[4 * at + 3] = (index[4 * n + 3] & ~63) | (way << 2) | CORNERS[corner];
        normals[at] = words[n];
        if (tint) tints[at] = tintWords[n];
      }
      for (let n2 = 0; n2 < 6; n2++) order[6 * face + n2] = 4 * face + around[n2];
      face++;
    }
  }
  geometry.setIndex(new BufferAttribute(order, 1));
  geometry.setAttribute("voxel", new BufferAttribute(voxel, 4));
  geometry.setAttribute("position", geometry.getAttribute("voxel"));
  geometry.setAttribute("normal4", new BufferAttribute(new Int8Array(normals.buffer), 4, true));
  if (tint) geometry.setAttribute("tint", new BufferAttribute(new Uint8Array(tints.buffer), 4, true));
  return geometry;
}

/** The four bytes of each voxel as one number. */
function wordsOf({ buffer, byteOffset }, count) {
  return new Uint32Array(buffer, byteOffset, count);
}

/** The voxels that show a face, for each of the six ways that a face can look. */
function facesOf(count, index) {
  const lists = [];
  for (let way = 0; way < 6; way++) {
    const list = new Uint32Array(count);
    let length = 0;
    for (let n = 0; n < count; n++) if (!((index[4 * n + 3] >> way) & 1)) list[length++] = n;
    lists.push(list.subarray(0, length));
  }
  return lists;
}

/** The middles of the voxels. */
export function pointGeometry({ index, normal, tint }) {
  const geometry = new BufferGeometry();
  geometry.setAttribute("voxel", new BufferAttribute(index, 4));
  // Its length is how many points there are.
  geometry.setAttribute("position", geometry.getAttribute("voxel"));
  geometry.setAttribute("normal4", new BufferAttribute(normal, 4, true));
  if (tint) geometry.setAttribute("tint", new BufferAttribute(tint, 4, true));
  return geometry;
}
