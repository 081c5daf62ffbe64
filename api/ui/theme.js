// Dark or light: as the system says, until the reader chooses.
const STORE = "xcube.theme";
const root = document.documentElement;

root.dataset.theme = stored() ?? "";

export function prepare(button) {
  button.addEventListener("click", () => {
    const dark = getComputedStyle(root).colorScheme === "dark";
    root.dataset.theme = dark ? "light" : "dark";
    try {
      localStorage.setItem(STORE, root.dataset.theme);
    } catch {
      // Without a store the choice holds for this page.
    }
  });
}

function stored() {
  try {
    return localStorage.getItem(STORE);
  } catch {
    return null;
  }
}
