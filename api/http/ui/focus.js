// Where the keyboard is, when the control that had it goes away.

let last = null;
document.addEventListener("focusin", ({ target }) => (last = target));

/** Call it after something was hidden: nobody is left with a control that is not there. */
export function keepFocus() {
  const { activeElement, body } = document;
  // Browsers take the focus from a hidden control at different times.
  const lost = activeElement === body ? last : activeElement;
  // The form is not there in full screen.
  const place = document.fullscreenElement ? "view" : "go";
  if (lost && !lost.checkVisibility()) document.getElementById(place).focus({ preventScroll: true });
}
