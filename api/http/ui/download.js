// Files of the shape on the screen, and the link to it.
import { toHash } from "./request.js";
import { file } from "./service.js";
import { announce } from "./status.js";

const menu = document.getElementById("download");
const shareButton = document.getElementById("share");

/** The shapes on the screen, what is known of their surface, and the formats whose sizes are known. */
let told = null;
/** Foretells sizes, once the menu has been open. */
let worker = null;
let asked = 0;

/** Prepares menu and button. `current` gives the request of the shape on the screen, `picture` a PNG blob. */
export function prepare(current, picture, failed) {
  const fetchFile = async (format) => {
    const summary = menu.querySelector("summary");
    summary.textContent = "Preparing…";
    try {
      const request = current();
      const made = format === "png" ? await picture() : await file(request, format);
      save(made, nameOf(request, format));
      if (request === current()) tellExactly({ [format]: made.size });
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
  menu.addEventListener("toggle", foretell);
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

/** For other shapes on the screen: no file has been made yet. */
export function renew(shapes) {
  for (const size of menu.querySelectorAll("small")) size.remove();
  told = { shapes, surface: undefined, exact: new Set(), asked: false };
  foretell();
}

/** Tells what came with the surface: sizes in bytes by format, and its vertices and triangles. */
export function tellSurface(sizes, { vertices, triangles }) {
  Object.assign(told, { surface: { vertices, triangles }, asked: false });
  tellExactly(sizes);
  foretell();
}

/** Writes sizes of files into the menu that somebody has opened, in the background: once for each shape. */
function foretell() {
  if (!menu.open || !told || told.asked) return;
  told.asked = true;
  worker ??= Object.assign(new Worker(new URL("later/sizes.js", import.meta.url), { type: "module" }), { onmessage: hear, onerror: forget });
  worker.postMessage({ number: ++asked, shapes: told.shapes, surface: told.surface });
}

/** Without a worker the sizes stay unknown, until the menu is opened again. */
function forget() {
  worker = null;
  told.asked = false;
}

function hear({ data: { number, sizes, exact } }) {
  if (number !== asked) return;
  for (const [format, bytes] of Object.entries(sizes)) {
    if (exact.includes(format)) tellExactly({ [format]: bytes });
    else if (!told.exact.has(format)) tell(format, `about ${sizeOf(bytes)}`);
  }
}

function tellExactly(sizes) {
  for (const [format, bytes] of Object.entries(sizes)) {
    told.exact.add(format);
    tell(format, sizeOf(bytes));
  }
}

function tell(format, text) {
  const button = menu.querySelector(`[data-format="${format}"]`);
  button.querySelector("small")?.remove();
  const size = document.createElement("small");
  size.textContent = text;
  button.append(size);
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

/** Whether a text was copied. Browsers give the clipboard to https and localhost only. */
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
