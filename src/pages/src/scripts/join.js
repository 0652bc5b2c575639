// Takes the fragment along, which holds options of Jitsi's page: it stays over redirects, but neither
// links nor forms have it by themselves.
for (const [selector, attribute] of [['main a[href^="/_gateway/login"]', "href"], ["main form", "action"]]) {
  for (const element of document.querySelectorAll(selector)) {
    element.setAttribute(attribute, element.getAttribute(attribute) + location.hash);
  }
}
// A double click sends a form once: a link for one use is used up by the first.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
// Whoever comes back to the page as it was left may send it again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form")) delete form.dataset.sent;
});
