// What can be done with the view besides turning it: full screen, a slow turn, a picture for the clipboard.
import { announce } from "./status.js";

const element = (id) => document.getElementById(id);

/** @param {() => (object|null)} viewer gives the viewer, null while there is none */
export function prepare(viewer) {
  const turntable = element("turntable");
  const full = element("full");
  const copy = element("copy-picture");
  turntable.addEventListener("click", () => {
    const turns = turntable.getAttribute("aria-pressed") !== "true";
    turntable.setAttribute("aria-pressed", String(turns));
    viewer()?.turn(turns);
  });
  full.hidden = !document.fullscreenEnabled;
  full.addEventListener("click", () =>
    document.fullscreenElement ? document.exitFullscreen() : element("stage").requestFullscreen(),
  );
  document.addEventListener("fullscreenchange", () =>
    full.setAttribute("aria-pressed", String(document.fullscreenElement !== null)),
  );
  // Browsers give the clipboard to https and localhost only.
  copy.hidden = !navigator.clipboard?.write || !window.ClipboardItem;
  copy.addEventListener("click", async () => {
    const item = new ClipboardItem({ "image/png": viewer()?.picture() });
    const done = await navigator.clipboard.write([item]).then(() => true, () => false);
    copy.textContent = done ? "Copied" : "Not copied";
    announce(done ? "The picture is copied." : "The browser did not let the picture be copied.");
    setTimeout(() => (copy.textContent = "Copy picture"), 1800);
  });
}

/** How large a shape is: its sides in voxels, and in millimetres where the longest one is printed 100 mm long. */
export function sizeOf({ low, high, size }) {
  const sides = low.map((value, axis) => Math.round((high[axis] - value) / size));
  const longest = Math.max(...sides);
  const times = (values) => values.join(" × ");
  return { blocks: times(sides), mm: times(sides.map((side) => Math.round((100 * side) / longest))) };
}
