// How a shape is looked at: as voxels, points, normals or its surface; coarse or fine; in clay or in the colours of files;
// with axes, with a box.
import { file, unloaded } from "./service.js";
import { announce } from "./status.js";

const element = (id) => document.getElementById(id);
const wire = element("wire");
const axes = element("axes");
const colours = element("colours");
/** Options of the VOX file that has the colours, by their name in the control. */
const PALETTES = { vox: {}, minecraft: { palette: "minecraft" } };
const fine = document.querySelector("[name=level][value=fine]");
const mode = () => document.querySelector("[name=mode]:checked").value;
let tried;
let current;
let failed;
let sized;
let loading = null;
/** The colours of shapes by their names, as far as they are known. */
const tints = new WeakMap();

/**
 * Prepares the controls.
 * @param {Promise<object|null>} viewer null where there are no 3-D graphics
 * @param {() => object|null} shown gives what is on the screen: {request, shapes}
 * @param {(error: Error) => void} fail hears why something is not shown
 * @param {(sizes: object, surface: object) => void} sizes hears the sizes of files that are known now, in bytes by format,
 *   and how many vertices and triangles the surface has
 */
export function prepare(viewer, shown, fail, sizes) {
  [tried, current, failed, sized] = [viewer, shown, fail, sizes];
  for (const input of document.querySelectorAll("[name=mode]")) input.addEventListener("change", choose);
  for (const input of document.querySelectorAll("[name=level]"))
    input.addEventListener("change", async () => {
      (await tried)?.show(current().shapes[input.value], { keep: true });
      paint();
    });
  colours.addEventListener("change", paint);
  wire.addEventListener("click", async () => {
    const on = press(wire);
    const surface = (await tried)?.surface;
    if (!surface) return;
    surface.wire = on;
    (await tried).draw();
  });
  axes.addEventListener("click", () => mark({ axes: press(axes) }));
}

/** Another shape is on the screen, in its finest level. */
export function renew() {
  fine.checked = true;
  choose();
}

/** Draws axes or a box around the shape, or none: {axes, box}. */
export async function mark(wanted) {
  const viewer = await tried;
  if (!viewer || !(viewer.marks || wanted.axes || wanted.box)) return;
  try {
    const { Marks } = await import("./later/marks.js").catch(unloaded);
    viewer.marks ??= new Marks(viewer);
    viewer.marks.set(wanted);
  } catch (error) {
    axes.setAttribute("aria-pressed", "false");
    failed(error);
  }
}

async function choose() {
  const wanted = mode();
  wire.hidden = wanted !== "surface";
  element("levels").hidden = wanted === "surface" || !current()?.shapes.fine;
  const viewer = await tried;
  viewer?.setMode(wanted);
  paint();
  if (wanted !== "surface" || !viewer || viewer.surface || !current() || loading === current()) return;
  const made = (loading = current());
  try {
    await showSurface(viewer, made);
  } catch (error) {
    if (current() !== made || mode() !== "surface") return;
    document.querySelector("[name=mode][value=voxels]").checked = true;
    choose();
    failed(error);
  } finally {
    if (loading === made) loading = null;
  }
}

/** Paints the voxels as the control says: files have colours for the finest ones. */
async function paint() {
  const made = current();
  const finest = made && (made.shapes.fine ?? made.shapes.coarse);
  const viewer = await tried;
  colours.hidden = !["voxels", "points"].includes(mode()) || viewer?.shape !== finest;
  if (colours.hidden || !viewer) return;
  const name = colours.value;
  try {
    const tint = name ? await tintOf(made, finest, name) : null;
    if (current() === made && viewer.shape === finest && colours.value === name) {
      viewer.paint(tint);
      element("view").dataset.colours = colours.selectedOptions[0].text;
    }
  } catch (error) {
    if (current() !== made || colours.value !== name) return;
    colours.value = "";
    paint();
    failed(error);
  }
}

async function tintOf(made, finest, name) {
  const known = tints.get(made) ?? {};
  tints.set(made, known);
  known[name] ??= Promise.all([import("./later/colours.js").catch(unloaded), file(made.request, "vox", PALETTES[name])])
    .then(async ([{ coloursOf }, blob]) => coloursOf(await blob.arrayBuffer(), finest));
  known[name].catch(() => delete known[name]);
  return known[name];
}

/** Shows the surface that the service puts into files of meshes. */
async function showSurface(viewer, made) {
  const finest = made.shapes.fine ?? made.shapes.coarse;
  const [{ surfaceOf }, blob] = await Promise.all([import("./later/surface.js").catch(unloaded), file(made.request, "glb")]);
  const glb = await blob.arrayBuffer();
  // Another one may be on its way to the screen.
  if (current() !== made || !Object.values(made.shapes).includes(viewer.shape)) return;
  if (!fine.checked) {
    fine.checked = true;
    viewer.show(finest, { keep: true, appear: false });
  }
  const surface = surfaceOf(glb, finest, wire.getAttribute("aria-pressed") === "true");
  viewer.setSurface(surface);
  sized({ glb: blob.size }, surface);
  announce(`The surface has ${surface.triangles.toLocaleString("en")} triangles.`);
}

function press(button) {
  const on = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(on));
  return on;
}
