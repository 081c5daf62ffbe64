// Shapes that were made in this browser, kept across reloads and tabs: the latest ones, as many as fit the bounds.
import { key } from "./request.js";

const NAME = "xcube";
const VERSION = 1;
const MOST = 60;
const MOST_BYTES = 96 * 2 ** 20;

/** Without a store, as in some private windows, nothing is kept and nothing else changes. */
const opened = open().catch(() => null);

/** What was made of a request: {request, shapes, warning, seconds}; undefined where it is not kept any more. */
export async function get(request) {
  const base = await opened;
  try {
    return base && (await done(base.transaction("shapes").objectStore("shapes").get(key(request))));
  } catch {
    return undefined;
  }
}

/** Keeps what was made of a request; the oldest ones make room for it. */
export async function put(made) {
  const base = await opened;
  if (!base) return;
  try {
    const change = base.transaction(["shapes", "sizes"], "readwrite");
    const [shapes, sizes] = ["shapes", "sizes"].map((name) => change.objectStore(name));
    const own = key(made.request);
    shapes.put(made, own);
    sizes.put({ at: Date.now(), bytes: bytesOf(made) }, own);
    const [keys, values] = await Promise.all([done(sizes.getAllKeys()), done(sizes.getAll())]);
    const latest = keys.map((name, n) => ({ name, ...values[n] })).sort((one, other) => other.at - one.at);
    let bytes = 0;
    for (const [n, entry] of latest.entries()) {
      bytes += entry.bytes;
      if (n < MOST && bytes <= MOST_BYTES) continue;
      shapes.delete(entry.name);
      sizes.delete(entry.name);
    }
  } catch {
    // A full store costs the keeping only.
  }
}

export async function clear() {
  const base = await opened;
  if (!base) return;
  const change = base.transaction(["shapes", "sizes"], "readwrite");
  for (const name of ["shapes", "sizes"]) change.objectStore(name).clear();
}

function bytesOf({ shapes: { coarse, fine } }) {
  return [coarse, fine].reduce((sum, shape) => sum + (shape ? shape.index.byteLength + shape.normal.byteLength : 0), 0);
}

async function open() {
  const request = indexedDB.open(NAME, VERSION);
  request.onupgradeneeded = () => {
    for (const name of ["shapes", "sizes"]) request.result.createObjectStore(name);
  };
  return done(request);
}

/** What a request to a store of the browser gives. */
export function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
