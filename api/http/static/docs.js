SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true });

// What Swagger UI leaves out for people who use a keyboard or a screen reader.
const LEVELS = { H3: 2, H4: 3, H5: 4, H6: 4 };
/** Parts of the page that have no landmark: role and name. */
const PARTS = {
  ".information-container": ["region", "About"],
  ".scheme-container": ["region", "Server and key"],
  ".modal-ux": ["dialog", "Authorizations"],
};

function mend() {
  for (const [place, [role, ariaLabel]] of Object.entries(PARTS))
    for (const part of document.querySelectorAll(place)) Object.assign(part, { role, ariaLabel });
  for (const heading of document.querySelectorAll("h3, h4, h5, h6")) heading.ariaLevel = LEVELS[heading.tagName];
  for (const field of document.querySelectorAll("select:not([aria-label]), textarea:not([aria-label])")) field.ariaLabel = nameOf(field);
  for (const close of document.querySelectorAll(".close-modal")) close.ariaLabel = "Close";
  // A link inside of a button that does the same.
  for (const link of document.querySelectorAll(".opblock-summary-control a[href]")) link.removeAttribute("href");
  for (const text of document.querySelectorAll("pre.microlight")) text.tabIndex = 0;
}

function nameOf(field) {
  const { paramName } = field.closest("[data-param-name]")?.dataset ?? {};
  return paramName ?? (field.id === "servers" ? "Server" : field.tagName === "TEXTAREA" ? "Request body" : "Choice");
}

new MutationObserver(mend).observe(document.getElementById("swagger-ui"), { childList: true, subtree: true });
