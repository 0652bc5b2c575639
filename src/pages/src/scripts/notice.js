// Shows times in the local time zone, and tries again when the room opens.
{
  // Browsers take a longer timeout for none.
  const MAX_TIMEOUT_MS = 2 ** 31 - 1;
  // Not everyone loads Jitsi at once.
  const SPREAD_MS = 2_000;

  const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "full", timeStyle: "short" });
  const again = document.querySelector("main a.button");
  for (const element of document.querySelectorAll("time")) {
    const opens = new Date(element.dateTime);
    element.textContent = format.format(opens);
    const wait = opens.getTime() - Date.now() + Math.random() * SPREAD_MS;
    // Where the clock is wrong, the room may still be closed then: the next page does not try by itself.
    if (wait > SPREAD_MS && wait < MAX_TIMEOUT_MS) {
      setTimeout(() => location.replace(again.href + location.hash), wait);
    }
  }
}
