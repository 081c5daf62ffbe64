// Files of the shape on the screen, and the link to it.
import { toHash } from "./request.js";
import { file } from "./service.js";
import { announce } from "./status.js";

const menu = document.getElementById("download");
/** Bytes of a voxel in files that hold nothing else but a short header, and the bytes of that. */
const RECORDS = { ply: [27, 420], "glb-points": [32, 1100], vox: [4, 1500] };
const shareButton = document.getElementById("share");

/** Prepares menu and button. `current` gives the request of the shape on the screen, `picture` a PNG blob. */
export function prepare(current, picture, failed) {
  const fetchFile = async (format) => {
    const summary = menu.querySelector("summary");
    summary.textContent = "Preparing…";
    try {
      const request = current();
      const made = format === "png" ? await picture() : await file(request, format);
      save(made, nameOf(request, format));
      if (request === current()) tellSizes({ [format]: made.size });
      announce(`The file is ready: ${sizeOf(made.size)}.`);
    } catch (error) {
      failed(error, () => fetchFile(format));
    } finally {
      summary.textContent = "Download";
    }
  };
  menu.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    menu.open = false;
    menu.querySelector("summary").focus();
    fetchFile(button.dataset.format);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.preventDefault();
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  shareButton.addEventListener("click", async () => {
    const copied = await copy(new URL(`./?${toHash(current()).slice(1)}`, document.baseURI).href);
    shareButton.textContent = copied ? "Copied" : "Not copied";
    announce(copied ? "The link is copied." : "The browser did not let the link be copied: take the page's address.");
    setTimeout(() => (shareButton.textContent = "Copy link"), 1800);
  });
}

/** For another shape, of so many voxels: no file has been made yet. */
export function foretell(voxels) {
  for (const size of menu.querySelectorAll("small")) size.remove();
  const sizes = Object.entries(RECORDS).map(([format, [each, header]]) => [format, each * voxels + header]);
  tellSizes(Object.fromEntries(sizes), "≈ ");
}

/** Writes sizes of files into the menu, in bytes by format. */
export function tellSizes(sizes, about = "") {
  for (const [format, bytes] of Object.entries(sizes)) {
    const button = menu.querySelector(`[data-format="${format}"]`);
    button.querySelector("small")?.remove();
    const size = document.createElement("small");
    size.textContent = about + sizeOf(bytes);
    button.append(size);
  }
}

function sizeOf(bytes) {
  const [value, unit] = bytes < 1e6 ? [bytes / 1e3, "kB"] : [bytes / 1e6, "MB"];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

function nameOf({ prompt, seed }, format) {
  const words = prompt.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 40) || "shape";
  const [suffix, kind] = (format === "report" ? "json-report" : format).split("-");
  return `${words}-${seed}${kind ? `-${kind}` : ""}.${suffix}`;
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Whether a text was copied. Browsers give the clipboard to https and localhost only; elsewhere an old way has to do. */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const { activeElement } = document;
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  activeElement.focus();
  return copied;
}
