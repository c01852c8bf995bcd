// The document is next to this script.
SwaggerUIBundle({
    url: new URL("openapi.json", document.currentScript.src).href,
    oauth2RedirectUrl: new URL("oauth2-redirect.html", document.currentScript.src).href,
    dom_id: "#docs",
    deepLinking: true,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    // Nothing is sent to a service elsewhere.
    validatorUrl: null,
});

// The page is dark where the reader's other pages are.
const dark = matchMedia("(prefers-color-scheme: dark)");
const followReader = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
followReader();
dark.addEventListener("change", followReader);
