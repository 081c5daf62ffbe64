// Light: how much of the sky and of the lamp each voxel and each spot of the ground sees.

const SKY = 40;
const LAMP = 6;
// Enough for a smooth look, and less for the largest shapes.
const LOOKS = 6_000_000;
const LAMP_SIZE = 0.11;
const GROUND = 96;
const GROUND_SPAN = 3;

/**
 * Fills in a shape's light: normal[4n + 3] is the free share of the sky before a voxel (127: all), the upper bits of
 * index[4n + 3] the share of the lamp that it sees (255: all). Adds ground {side, span, x, z, shade}: a square map of
 * how dark the ground is (255: black), its edge and its middle in world units. `lampAt` is the direction of the lamp.
 */
export function light(shape, lampAt) {
  const { count, size, low, high, index, normal } = shape;
  const middle = low.map((value, axis) => (value + high[axis]) / 2);
  const radius = Math.hypot(...high.map((value, axis) => value - low[axis])) / 2 + size;
  const cell = Math.max(0.9 * size, radius / 110) / (count < 20_000 ? 2 : 1);
  // Far enough from its own voxel and its neighbours in a plane not to be in their shade.
  const lift = 1.25 * size + cell;
  const rays = directions(Math.min(SKY, Math.max(10, Math.round(LOOKS / count))), lampAt);
  const centres = new Float32Array(3 * count);
  const lifted = new Float32Array(3 * count);
  for (let n = 0; n < count; n++)
    for (let axis = 0; axis < 3; axis++) {
      const centre = (index[4 * n + axis] + 0.5) * size - middle[axis];
      centres[3 * n + axis] = centre;
      lifted[3 * n + axis] = centre + (normal[4 * n + axis] / 127) * lift;
    }
  const all = new Float32Array(count);
  const free = new Float32Array(count);
  const lit = new Float32Array(count);
  const ground = groundMap(shape);
  for (const { way, lamp } of rays) {
    const [x, y, z] = way;
    const depths = new Depths(way, radius, cell, size);
    depths.add(centres);
    for (let n = 0; n < count; n++) {
      const facing = (x * normal[4 * n] + y * normal[4 * n + 1] + z * normal[4 * n + 2]) / 127;
      if (facing < 0.05) continue;
      const seen = depths.seen(lifted[3 * n], lifted[3 * n + 1], lifted[3 * n + 2]);
      if (lamp) {
        lit[n] += seen / LAMP;
      } else {
        all[n] += facing;
        free[n] += facing * seen;
      }
    }
    ground.look(depths, way, lamp, middle);
  }
  for (let n = 0; n < count; n++) {
    normal[4 * n + 3] = all[n] ? Math.round((127 * free[n]) / all[n]) : 127;
    index[4 * n + 3] |= Math.round(255 * lit[n]) << 6;
  }
  shape.ground = ground.result();
}

/** How far a shape reaches towards one direction, seen from there: a square map around the shape's middle. */
class Depths {
  constructor(way, radius, cell, size) {
    this.way = way;
    this.across = unit(Math.abs(way[1]) < 0.9 ? [way[2], 0, -way[0]] : [0, -way[2], way[1]]);
    this.up = cross(way, this.across);
    this.cell = cell;
    this.spots = Math.max(2, Math.round(size / cell) + 1);
    this.side = 2 * Math.ceil(radius / cell) + 2 * this.spots;
    this.map = new Float32Array(this.side * this.side).fill(-Infinity);
  }

  /** Puts voxels at places [3n] into the map, as squares that cover them. */
  add(places) {
    const { side, cell, map, spots } = this;
    const [wx, wy, wz] = this.way;
    const [ax, ay, az] = this.across.map((value) => value / cell);
    const [ux, uy, uz] = this.up.map((value) => value / cell);
    const start = (side - spots) / 2;
    for (let n = 0; n < places.length; n += 3) {
      const x = places[n];
      const y = places[n + 1];
      const z = places[n + 2];
      const u = Math.round(x * ax + y * ay + z * az + start);
      const v = Math.round(x * ux + y * uy + z * uz + start);
      const depth = x * wx + y * wy + z * wz;
      for (let row = v; row < v + spots; row++)
        for (let at = row * side + u; at < row * side + u + spots; at++) if (map[at] < depth) map[at] = depth;
    }
  }

  /** How freely a place sees the direction: 0 to 1, between four neighbouring spots of the map. */
  seen(x, y, z) {
    const { way, across, up, side, cell, map } = this;
    const u = (x * across[0] + y * across[1] + z * across[2]) / cell + side / 2 - 0.5;
    const v = (x * up[0] + y * up[1] + z * up[2]) / cell + side / 2 - 0.5;
    const column = Math.floor(u);
    const row = Math.floor(v);
    if (column < 0 || row < 0 || column > side - 2 || row > side - 2) return 1;
    const depth = x * way[0] + y * way[1] + z * way[2];
    const at = row * side + column;
    const right = u - column;
    const above = v - row;
    return (
      (1 - above) * ((map[at] <= depth ? 1 - right : 0) + (map[at + 1] <= depth ? right : 0)) +
      above * ((map[at + side] <= depth ? 1 - right : 0) + (map[at + side + 1] <= depth ? right : 0))
    );
  }
}

function groundMap({ size, low, high }) {
  const span = GROUND_SPAN * Math.max(high[0] - low[0], high[2] - low[2], 0.45 * (high[1] - low[1]));
  const x = (low[0] + high[0]) / 2;
  const z = (low[2] + high[2]) / 2;
  const sky = new Float32Array(GROUND * GROUND);
  const lamp = new Float32Array(GROUND * GROUND);
  let whole = 0;
  return {
    look(depths, way, isLamp, middle) {
      if (way[1] < 0.05) return;
      if (!isLamp) whole += way[1];
      const into = isLamp ? lamp : sky;
      const weight = isLamp ? 1 / LAMP : way[1];
      for (let row = 0; row < GROUND; row++)
        for (let column = 0; column < GROUND; column++) {
          const right = ((column + 0.5) / GROUND - 0.5) * span + x;
          const back = (0.5 - (row + 0.5) / GROUND) * span + z;
          const seen = depths.seen(right - middle[0], low[1] - 0.5 * size - middle[1], back - middle[2]);
          into[row * GROUND + column] += weight * (1 - seen);
        }
    },
    result() {
      // The shadows of single directions become one soft one.
      for (let pass = 0; pass < 3; pass++) blur(sky);
      blur(lamp, 1);
      const shade = new Uint8Array(GROUND * GROUND);
      for (let n = 0; n < shade.length; n++) {
        const far = Math.hypot((n % GROUND) + 0.5 - GROUND / 2, Math.floor(n / GROUND) + 0.5 - GROUND / 2) / (GROUND / 2);
        const fade = Math.min(1, Math.max(0, (1 - far) / 0.35));
        shade[n] = Math.round(255 * fade * (0.6 * (sky[n] / whole) + 0.4 * lamp[n]));
      }
      return { side: GROUND, span, x, z, shade };
    },
  };
}

/** A box blur of a square map, along rows and then along columns; outside of it there is no shadow. */
function blur(map, reach = 5) {
  const lines = new Float32Array(GROUND);
  for (const [step, stride] of [[1, GROUND], [GROUND, 1]])
    for (let line = 0; line < GROUND; line++) {
      for (let n = 0; n < GROUND; n++) {
        let sum = 0;
        for (let m = Math.max(0, n - reach); m <= Math.min(GROUND - 1, n + reach); m++) sum += map[line * stride + m * step];
        lines[n] = sum / (2 * reach + 1);
      }
      for (let n = 0; n < GROUND; n++) map[line * stride + n * step] = lines[n];
    }
}

/** Directions {way, lamp}: evenly over the sky and a little below the horizon, and within the lamp. */
function directions(sky, lampAt) {
  const turn = Math.PI * (3 - Math.sqrt(5));
  const rays = [];
  for (let n = 0; n < sky; n++) {
    const y = 1 - (1.45 * (n + 0.5)) / sky;
    const flat = Math.sqrt(1 - y * y);
    rays.push({ way: [flat * Math.cos(n * turn), y, flat * Math.sin(n * turn)], lamp: false });
  }
  for (let n = 0; n < LAMP; n++) {
    const far = LAMP_SIZE * Math.sqrt((n + 0.5) / LAMP);
    const shift = [far * Math.cos(n * turn), far * Math.sin(n * turn), far * Math.sin(n * turn + 1)];
    rays.push({ way: unit(lampAt.map((value, axis) => value + shift[axis])), lamp: true });
  }
  return rays;
}

function unit(vector) {
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}

function cross([a, b, c], [x, y, z]) {
  return [b * z - c * y, c * x - a * z, a * y - b * x];
}
