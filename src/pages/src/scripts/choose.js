// The fragment holds options of Jitsi's page; a link to another page would lose it.
if (location.hash.length > 1) {
  for (const link of document.querySelectorAll("main a.button")) {
    link.hash = location.hash;
  }
  for (const form of document.forms) {
    form.action += location.hash;
  }
}
