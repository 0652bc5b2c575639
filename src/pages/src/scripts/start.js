// After a meeting Jitsi's page returns here with the address of the room, which has the display token.
if (/^#(.*&)?jwt=/.test(location.hash)) {
  history.replaceState(history.state, "", location.origin + location.pathname);
}

// Recent meetings, from local storage.
{
  // The gateway's list, and that of Jitsi's page.
  const KEYS = ["gateway.rooms", "features/recent-list"];
  const MOST = 6;

  const read = (key) => {
    try {
      const list = JSON.parse(localStorage.getItem(key));
      return Array.isArray(list) ? list : [];
    } catch (_) {
      return [];
    }
  };

  const decode = (text) => {
    try {
      return decodeURIComponent(text);
    } catch (_) {
      return text;
    }
  };

  // The room of a path, by the rule of docs/room-names.md; an address with what Jitsi's client drops is
  // written as the name is.
  const roomOf = (pathname) => {
    const parts = pathname.split("/").filter((part) => part !== "");
    const last = parts.pop() || "";
    const once = decode(last.replace(/[:?#[\]@!$&'()*+,;=><"]/g, ""));
    const name = decode(once).replace(/['\uff07]/g, "");
    const served = name === once && !/[:&'"]/.test(last);
    const escape = (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`;
    const segment = served ? last : encodeURIComponent(name).replace(/[!'()*]/g, escape);
    const tenant = parts.length > 0 ? parts[parts.length - 1] : "";
    const before = tenant === "" ? "/" : `/${tenant}/`;
    const key = decode(before).replace(/\./g, "_") + name.normalize("NFKC");
    return { key: key.toLowerCase(), name: decode(before.slice(1)) + name, tenant, path: before + segment };
  };

  // A room of this site and the time of the visit. Without the query, which may hold a token.
  const room = (entry) => {
    try {
      const { origin, pathname } = new URL(entry.conference);
      const { key, name, tenant, path } = roomOf(pathname);
      // Set for a meeting whose page this browser has shown to its host.
      const hosted = typeof entry.room === "string" ? entry.room : "";
      const isRoom = origin === location.origin && tenant.toLowerCase() !== "_gateway" && !key.endsWith("/");
      return isRoom ? [{ path, name, key, hosted, date: Number(entry.date) || 0 }] : [];
    } catch (_) {
      return [];
    }
  };

  const section = document.getElementById("recent");
  const list = section.querySelector("ul");
  const date = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  const byKey = new Map();
  for (const visit of KEYS.flatMap(read).flatMap(room).sort((a, b) => b.date - a.date)) {
    const latest = byKey.get(visit.key);
    if (latest) latest.hosted ||= visit.hosted;
    else byKey.set(visit.key, visit);
  }
  const rooms = [...byKey.values()];
  for (const { path, name, hosted, date: visited } of rooms.slice(0, MOST)) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    const text = document.createElement("bdi");
    text.textContent = name;
    link.href = path;
    link.append(text);
    item.append(link);
    if (hosted !== "") {
      const page = document.createElement("a");
      page.className = "more";
      page.textContent = list.dataset.links;
      page.href = `/_gateway/meeting?${new URLSearchParams({ room: hosted })}`;
      item.append(" ", page);
    }
    if (visited > 0 && visited < 8.64e15) {
      const time = document.createElement("time");
      time.dateTime = new Date(visited).toISOString();
      time.textContent = date.format(visited);
      item.append(" ", time);
    }
    list.append(item);
  }
  section.hidden = rooms.length === 0;
  section.querySelector("button").addEventListener("click", () => {
    for (const key of KEYS) localStorage.removeItem(key);
    section.hidden = true;
    document.getElementById("room").focus();
  });
}
