// The document is beside this script.
SwaggerUIBundle({
    url: new URL("openapi.json", document.currentScript.src).href,
    dom_id: "#docs",
    deepLinking: true,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    // Nothing is sent to a service elsewhere.
    validatorUrl: null,
});
