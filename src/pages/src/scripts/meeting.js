// Copy buttons, local times, and the list of recent meetings.
{
  const language = document.documentElement.lang;
  const time = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "short" });
  for (const element of document.querySelectorAll("time")) {
    element.textContent = time.format(new Date(element.dateTime));
  }

  const copy = async (field) => {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
    } catch (_) {
      // Without permission or TLS, where the Clipboard API is unavailable.
      if (!document.execCommand("copy")) return false;
    }
    return true;
  };
  for (const button of document.querySelectorAll("[data-copies]")) {
    const status = button.parentElement.nextElementSibling;
    button.addEventListener("click", async () => {
      for (const other of document.querySelectorAll(".copied")) other.textContent = "";
      if (await copy(document.getElementById(button.dataset.copies))) {
        status.textContent = status.dataset.copied;
      }
    });
  }

  // The input has local time; the server expects UTC.
  const form = document.getElementById("calendar");
  const begin = document.getElementById("begin");
  const two = (number) => String(number).padStart(2, "0");
  const proposed = new Date(`${begin.value}Z`);
  begin.value = `${proposed.getFullYear()}-${two(proposed.getMonth() + 1)}-${two(proposed.getDate())}`
    + `T${two(proposed.getHours())}:${two(proposed.getMinutes())}`;
  begin.removeAttribute("name");
  begin.removeAttribute("aria-describedby");
  document.getElementById("begin-zone").remove();
  const utc = document.createElement("input");
  utc.type = "hidden";
  utc.name = "start";
  form.append(utc);

  const google = document.getElementById("google");
  const outlook = document.getElementById("outlook");
  const change = (link, values) => {
    const url = new URL(link.href);
    for (const [key, value] of Object.entries(values)) url.searchParams.set(key, value);
    link.href = url;
  };
  const update = () => {
    const start = new Date(begin.value);
    const end = new Date(start.getTime() + Number(form.elements.minutes.value) * 60_000);
    const title = form.elements.title.value;
    if (Number.isNaN(start.getTime()) || Number.isNaN(end.getTime())) return;
    const [from, to] = [start, end].map((moment) => moment.toISOString().slice(0, 16));
    utc.value = from;
    const compact = (moment) => `${moment.replace(/[-:]/g, "")}00Z`;
    change(google, { text: title, dates: `${compact(from)}/${compact(to)}` });
    change(outlook, { subject: title, startdt: `${from}:00Z`, enddt: `${to}:00Z` });
  };
  form.addEventListener("input", update);
  form.addEventListener("submit", update);
  update();

  const KEY = "gateway.rooms";
  const MOST = 30;
  const { url: conference, room } = document.getElementById("meeting").dataset;
  try {
    const known = JSON.parse(localStorage.getItem(KEY));
    const others = Array.isArray(known) ? known.filter((other) => other?.conference !== conference) : [];
    localStorage.setItem(KEY, JSON.stringify([...others, { conference, room, date: Date.now() }].slice(-MOST)));
  } catch (_) {
    // Without local storage there is no list of recent meetings.
  }
}
