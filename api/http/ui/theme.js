// Dark or light: as the system says, until the reader chooses. Runs before anything is drawn, so that nothing flashes.
{
  const STORE = "xcube.theme";
  const root = document.documentElement;

  const stored = () => {
    try {
      return localStorage.getItem(STORE);
    } catch {
      return null;
    }
  };

  const turn = () => {
    const dark = getComputedStyle(root).colorScheme === "dark";
    root.dataset.theme = dark ? "light" : "dark";
    try {
      localStorage.setItem(STORE, root.dataset.theme);
    } catch {
      // Without a store the choice holds for this page.
    }
  };

  root.dataset.theme = stored() ?? "";
  addEventListener("DOMContentLoaded", () => document.getElementById("theme").addEventListener("click", turn));
}
