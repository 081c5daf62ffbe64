// Where the lamp is, as the first view sees it: above, in front and to the left.
const TOWARDS = [-0.2, 0.8, 0.57];

/** Its direction, of length 1. */
export const LAMP_AT = TOWARDS.map((value) => value / Math.hypot(...TOWARDS));
