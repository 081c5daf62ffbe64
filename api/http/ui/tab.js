// What this tab remembers across reloads. A store that is full or forbidden costs the reloads only.
const here = new Map();

export function remember(name, text) {
  here.set(name, text);
  try {
    sessionStorage.setItem(name, text);
  } catch {
    // This page still has it.
  }
}

/** The text of that name, or null. */
export function recall(name) {
  try {
    return here.get(name) ?? sessionStorage.getItem(name);
  } catch {
    return null;
  }
}
