// Shows times in the local time zone.
{
  const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "full", timeStyle: "short" });
  for (const element of document.querySelectorAll("time")) {
    element.textContent = format.format(new Date(element.dateTime));
  }
}
