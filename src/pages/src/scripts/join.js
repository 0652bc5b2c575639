// Adds the fragment, which holds options of Jitsi's page, to links and forms. Browsers keep it across
// redirects.
for (const [selector, attribute] of [['main a[href^="/_gateway/login"]', "href"], ["main form", "action"]]) {
  for (const element of document.querySelectorAll(selector)) {
    element.setAttribute(attribute, element.getAttribute(attribute) + location.hash);
  }
}
// Ignores a double click: the first request uses up an invitation for one user.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
// Allows another submission after a return from the back/forward cache.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form")) delete form.dataset.sent;
});
