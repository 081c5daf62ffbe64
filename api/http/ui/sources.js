// What a shape may start from: null for nothing, a file {file, name, format, up}, or an earlier shape {of, strength, box}.
// `file` says which file it is, `up` is "", "y" or "z"; `of` is the earlier request; box is null for everything, or six
// numbers in world units: x, y and z of the low corner, and then those of the high one.

/** Endings of files that the service can refine. */
export const KINDS = ["npz", "vox", "ply", "glb", "obj", "stl", "off", "3mf"];
export const USUAL_STRENGTH = 0.5;

/** Writes a source into the fields of a link; a file cannot travel in one, so only what it is called does. */
export function toLink(source, fields, toHash) {
  if (source.of) {
    fields.set("strength", source.strength);
    if (source.box) fields.set("box", source.box.join());
    fields.set("of", toHash(source.of).slice(1));
  } else for (const name of ["file", "name", "format", "up"]) if (source[name]) fields.set(name, source[name]);
}

/** The source in the fields of a link, or null. */
export function fromLink(fields, fromHash) {
  const of = fields.has("of") && fromHash(`#${fields.get("of")}`);
  if (of && of.seed !== "" && !of.source) {
    const strength = Number(fields.get("strength"));
    return { of: { ...of, n: 1 }, strength: strength > 0 && strength <= 1 ? strength : USUAL_STRENGTH, box: boxOf(fields.get("box")) };
  }
  const [file, name, format, up] = ["file", "name", "format", "up"].map((field) => fields.get(field) ?? "");
  return file && KINDS.includes(format) ? { file, name, format, up: up === "y" || up === "z" ? up : "" } : null;
}

/** Two sources from which the same comes have the same key. */
export function keyOf({ of, strength, box, file, up }, key) {
  return of ? [key(of), strength, box] : [file, up];
}

function boxOf(text) {
  const box = (text ?? "").split(",").map(Number);
  const fits = box.length === 6 && [0, 1, 2].every((axis) => box[axis] >= -0.5 && box[axis] < box[axis + 3] && box[axis + 3] <= 0.5);
  return fits ? box : null;
}
