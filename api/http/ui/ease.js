// How much a picture that moves may leave out, so that it moves smoothly. A picture at rest leaves out nothing.

/** From everything to least: the share of the pixels along each edge, and how often voxels are halved. */
const LEVELS = [{ pixels: 1, halvings: 0 }, { pixels: 0.6, halvings: 0 }, { pixels: 0.5, halvings: 1 }, { pixels: 0.4, halvings: 2 }];
const SLOW_MS = 50;
const VERY_SLOW_MS = 150;
const LOOKS = 3;
const REST_MS = 220;

/** Decides by the time that pictures take to be drawn. */
export class Ease {
  /** @param {() => void} rest is called when nothing has moved for a moment */
  constructor(rest) {
    this.rest = rest;
    this.forget();
  }

  /** For another shape: nothing is known about it. */
  forget() {
    this.level = 0;
    this.times = [];
  }

  get moving() {
    return this.timer !== undefined;
  }

  /** What the next picture may leave out. */
  get allowed() {
    return LEVELS[this.moving ? this.level : 0];
  }

  /** The next picture differs from the last one in where it is seen from. */
  move() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (this.level > 0) this.rest();
    }, REST_MS);
  }

  /** Whether the time of the next picture should be taken, which holds it up a little. */
  get looks() {
    return this.moving && this.level < LEVELS.length - 1 && this.times.length < LOOKS;
  }

  /** A picture took so many milliseconds, with all that the graphics card had to do. */
  took(ms) {
    this.times.push(ms);
    // The first one has to prepare what the others use.
    const fastest = Math.min(...this.times);
    if (this.times.length < 2 || fastest < SLOW_MS) return;
    this.level = Math.min(LEVELS.length - 1, this.level + (fastest > VERY_SLOW_MS ? 2 : 1));
    this.times = [];
  }
}
