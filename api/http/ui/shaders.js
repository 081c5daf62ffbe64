// Shaders of the viewer.
import { LAMP_AT } from "./lamp.js";

const common = /* glsl */ `
  uniform float size, grow, low, high;
  attribute vec4 voxel;
  attribute vec4 normal4;
  attribute vec4 tint;
  varying vec3 vNormal;
  varying vec3 vTint;
  varying vec2 vLight;

  vec3 centre() { return (voxel.xyz + 0.5) * size; }

  /* Shares of sky and lamp, see making/light.js. */
  vec2 light() { return vec2(normal4.w, float(int(voxel.w) >> 6) / 255.0); }

  /* Voxels appear from the ground up. */
  float grown() {
    float height = (centre().y - low) / max(high - low, 1e-6);
    return smoothstep(0.0, 1.0, clamp(grow * 1.8 - height * 0.8, 0.0, 1.0));
  }
`;

export const voxelVertex = /* glsl */ `
  ${common}
  varying vec3 vFace;
  varying vec2 vSide;

  /* The low bits of a corner say which one it is, and where its face looks: see geometry.js. */
  void main() {
    int bits = int(voxel.w);
    int axis = (bits >> 3) & 3;
    float up = (bits & 4) == 0 ? -1.0 : 1.0;
    vSide = vec2(float(bits & 1), float((bits >> 1) & 1));
    vec3 face = vec3(axis == 0, axis == 1, axis == 2);
    vec3 next = face.zxy;
    vec3 position = 0.5 * up * face + (vSide.x - 0.5) * next + (vSide.y - 0.5) * next.zxy;
    vNormal = normal4.xyz;
    vLight = light();
    vFace = face * up;
    vTint = tint.rgb;
    gl_Position = projectionMatrix * viewMatrix * vec4(centre() + position * size * grown(), 1.0);
  }
`;

export const pointVertex = /* glsl */ `
  ${common}
  uniform float pixels;

  void main() {
    vNormal = normal4.xyz;
    vTint = tint.rgb;
    vLight = light();
    vec4 place = viewMatrix * vec4(centre(), 1.0);
    gl_Position = projectionMatrix * place;
    gl_PointSize = clamp(0.72 * size * pixels / -place.z, 1.5, 24.0) * grown();
  }
`;

/** The light on a thing of some colour that faces along n; where `colours` is above 0, its `own` ones hold light already. */
export const shading = /* glsl */ `
  uniform float colours;
  varying vec3 vNormal;
  varying vec2 vLight;

  vec3 shaded(vec3 n, vec3 own, vec3 clay) {
    vec3 rim = normalize((vec4(0.85, 0.25, 0.3, 0.0) * viewMatrix).xyz);
    float open = mix(0.12, 1.0, vLight.x * mix(0.65, 1.0, vLight.x));
    vec3 sky = mix(vec3(0.26, 0.20, 0.17), vec3(0.42, 0.45, 0.50), n.y * 0.5 + 0.5) * open;
    vec3 lamp = vec3(1.0, 0.93, 0.82) * max(dot(n, vec3(${LAMP_AT.map((value) => value.toFixed(4))})), 0.0) * vLight.y * 0.88;
    vec3 side = vec3(0.62, 0.72, 0.9) * max(dot(n, rim), 0.0) * 0.22 * open;
    vec3 lit = clay * (sky + lamp + side);
    return mix(lit, own * mix(0.45, 1.0, open), min(colours, 1.0));
  }
`;

const voxelShading = /* glsl */ `
  ${shading}
  uniform vec3 clay;
  varying vec3 vTint;

  /* A voxel's own colour: that of its normal, or that in files. */
  vec3 own(vec3 normal) { return pow(colours > 1.5 ? vTint : normal * 0.5 + 0.5, vec3(2.2)); }
`;

export const voxelFragment = /* glsl */ `
  ${voxelShading}
  varying vec3 vFace;
  varying vec2 vSide;

  void main() {
    vec3 given = normalize(vNormal + 1e-4);
    vec2 border = min(vSide, 1.0 - vSide);
    float width = max(max(fwidth(vSide.x), fwidth(vSide.y)), 1e-4);
    /* Voxels that are large enough to be told apart look like cubes, small ones like the surface that they make. */
    float large = smoothstep(0.3, 0.06, width);
    vec3 n = normalize(mix(vFace, given, mix(0.85, 0.5, large)));
    float line = 1.0 - smoothstep(0.0, width * 1.3, min(border.x, border.y));
    gl_FragColor = vec4(shaded(n, own(given), clay) * (1.0 - 0.24 * line * large), 1.0);
    #include <colorspace_fragment>
  }
`;

export const pointFragment = /* glsl */ `
  ${voxelShading}
  void main() {
    if (length(gl_PointCoord - 0.5) > 0.5) discard;
    vec3 n = normalize(vNormal + 1e-4);
    gl_FragColor = vec4(shaded(n, own(n), clay), 1.0);
    #include <colorspace_fragment>
  }
`;

export const groundVertex = /* glsl */ `
  varying vec2 vPlace;
  void main() {
    vPlace = uv;
    gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
  }
`;

export const groundFragment = /* glsl */ `
  uniform sampler2D map;
  varying vec2 vPlace;
  void main() { gl_FragColor = vec4(0.04, 0.03, 0.03, 0.6 * texture2D(map, vPlace).r); }
`;
