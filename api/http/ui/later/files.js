// Files that were given to be refined, kept across reloads of the page: the latest ones.
import { done } from "../kept.js";

const NAME = "xcube.files";
const MOST = 3;
/** Letters of a file in Base64 that is kept for other pages too. */
const MOST_LETTERS = 48 * 2 ** 20;
/** Those of this page, for browsers that keep nothing. */
const here = new Map();
const opened = open().catch(() => null);

/** Takes a file: gives the source that it is, see sources.js. Throws where it cannot be read. */
export async function take(file, format) {
  const text = await base64Of(file);
  const source = { file: digestOf(text), name: file.name, format, up: "" };
  here.set(source.file, text);
  if (here.size > MOST) here.delete(here.keys().next().value);
  const files = text.length <= MOST_LETTERS && (await opened)?.transaction("files", "readwrite").objectStore("files");
  if (files) {
    // A full store costs the keeping only.
    await done(files.put({ text, at: Date.now() }, source.file)).catch(() => {});
    const [names, all] = await Promise.all([done(files.getAllKeys()), done(files.getAll())]).catch(() => [[], []]);
    const latest = names.map((name, n) => ({ name, at: all[n].at })).sort((one, other) => other.at - one.at);
    for (const { name } of latest.slice(MOST)) files.delete(name);
  }
  return source;
}

/** The file of a source in Base64; undefined where it is not here any more. */
export async function textOf({ file }) {
  if (here.has(file)) return here.get(file);
  const files = (await opened)?.transaction("files").objectStore("files");
  return files && (await done(files.get(file)).catch(() => undefined))?.text;
}

/** Forgets the files of earlier pages. */
export async function clear() {
  (await opened)?.transaction("files", "readwrite").objectStore("files").clear();
}

function base64Of(file) {
  const reader = new FileReader();
  reader.readAsDataURL(file);
  return new Promise((resolve, reject) => {
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Error(`${file.name} could not be read.`));
  });
}

/** Browsers have hashes of their own for https and localhost only. */
function digestOf(text) {
  let [one, other] = [2166136261, 40389];
  for (let n = 0; n < text.length; n++) {
    one = Math.imul(one ^ text.charCodeAt(n), 16777619);
    other = Math.imul(other ^ text.charCodeAt(n), 2246822507);
  }
  return [one, other].map((part) => (part >>> 0).toString(36)).join("") + text.length.toString(36);
}

async function open() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore("files");
  return done(request);
}
