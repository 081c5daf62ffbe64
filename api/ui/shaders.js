// Shaders of the viewer. A voxel is three faces of a cube, turned to the eye: the others are never seen.

const common = /* glsl */ `
  uniform float size, grow, low, high;
  attribute vec4 voxel;
  attribute vec4 normal4;
  varying vec3 vNormal;
  varying float vOpen;

  vec3 centre() { return (voxel.xyz + 0.5) * size; }

  /* Voxels appear from the ground up. */
  float grown() {
    float height = (centre().y - low) / max(high - low, 1e-6);
    return smoothstep(0.0, 1.0, clamp(grow * 1.8 - height * 0.8, 0.0, 1.0));
  }
`;

export const voxelVertex = /* glsl */ `
  ${common}
  attribute vec3 face;
  attribute vec2 side;
  varying vec3 vFace;
  varying vec2 vSide;

  /* Between two voxels there is no face. */
  bool hidden(vec3 turn) {
    int axis = int(dot(face, vec3(0.0, 1.0, 2.0)) + 0.5);
    int way = dot(face, turn) > 0.0 ? 1 : 0;
    return ((int(voxel.w) >> (2 * axis + way)) & 1) == 1;
  }

  void main() {
    vec3 middle = centre();
    vec3 turn = sign(cameraPosition - middle);
    vNormal = normal4.xyz;
    vOpen = normal4.w;
    vFace = face * turn;
    vSide = side;
    gl_Position = projectionMatrix * viewMatrix * vec4(middle + position * turn * size * grown(), 1.0);
    if (grow >= 1.0 && hidden(turn)) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  }
`;

export const pointVertex = /* glsl */ `
  ${common}
  uniform float pixels;
  varying vec3 vFace;
  varying vec2 vSide;

  void main() {
    vNormal = normal4.xyz;
    vOpen = normal4.w;
    vFace = normal4.xyz;
    vSide = vec2(0.5);
    vec4 place = viewMatrix * vec4(centre(), 1.0);
    gl_Position = projectionMatrix * place;
    gl_PointSize = clamp(0.72 * size * pixels / -place.z, 1.5, 24.0) * grown();
  }
`;

export const fragment = /* glsl */ `
  uniform vec3 clay;
  uniform float round_, colours;
  varying vec3 vNormal, vFace;
  varying vec2 vSide;
  varying float vOpen;

  void main() {
    if (round_ > 0.5 && length(gl_PointCoord - 0.5) > 0.5) discard;
    vec3 smooth_ = normalize(vNormal + 1e-4);
    vec2 border = min(vSide, 1.0 - vSide);
    float width = max(max(fwidth(vSide.x), fwidth(vSide.y)), 1e-4);
    /* Voxels that are large enough to be told apart look like cubes, small ones like the surface that they make. */
    float large = smoothstep(0.16, 0.06, width) * (1.0 - round_);
    vec3 n = normalize(mix(vFace, smooth_, mix(0.92, 0.6, large)));
    vec3 key = normalize((vec4(-0.45, 0.75, 0.55, 0.0) * viewMatrix).xyz);
    vec3 rim = normalize((vec4(0.8, 0.1, 0.35, 0.0) * viewMatrix).xyz);
    vec3 sky = mix(vec3(0.20, 0.17, 0.16), vec3(0.42, 0.45, 0.50), n.y * 0.5 + 0.5);
    float open = mix(0.25, 1.0, smoothstep(0.2, 0.95, vOpen));
    vec3 light = sky * open + vec3(1.0, 0.94, 0.84) * max(dot(n, key), 0.0) * 0.82 * mix(0.6, 1.0, open)
      + vec3(0.55, 0.68, 0.9) * max(dot(n, rim), 0.0) * 0.25;

    float line = 1.0 - smoothstep(0.0, width * 1.4, min(border.x, border.y));
    light *= 1.0 - 0.28 * line * large;

    vec3 lit = clay * light;
    vec3 coloured = pow(smooth_ * 0.5 + 0.5, vec3(2.2)) * mix(0.75, 1.0, open);
    gl_FragColor = vec4(mix(lit, coloured, colours), 1.0);
    #include <colorspace_fragment>
  }
`;

export const shadowVertex = /* glsl */ `
  varying vec2 vPlace;
  void main() {
    vPlace = uv;
    gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
  }
`;

export const shadowFragment = /* glsl */ `
  uniform sampler2D map;
  uniform float strength;
  varying vec2 vPlace;
  void main() { gl_FragColor = vec4(0.0, 0.0, 0.0, strength * texture2D(map, vPlace).r); }
`;
