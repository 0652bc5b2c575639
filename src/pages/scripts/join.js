// Takes the fragment along, which holds options of Jitsi's page: it stays over redirects, but neither
// links nor forms have it by themselves.
for (const [selector, attribute] of [['main a[href^="/_gateway/login"]', "href"], ["main form", "action"]]) {
  for (const element of document.querySelectorAll(selector)) {
    element.setAttribute(attribute, element.getAttribute(attribute) + location.hash);
  }
}
