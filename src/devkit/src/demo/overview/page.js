// Shows the state of the demonstration every second. Text from outside is shown as text, never as markup.
"use strict";

const at = (id) => document.getElementById(id);

/** An element with a text in it. */
function element(name, text = "", properties = {}) {
  return Object.assign(document.createElement(name), { textContent: text }, properties);
}

async function post(path, body) {
  const response = await fetch(path, { method: "POST", body: JSON.stringify(body) });
  return response.ok ? response.json() : null;
}

/** What a person is, as the badges of the rooms' pages. */
const standingOf = ({ role, standing }) => (role === "moderator" ? "host" : standing);

async function signOut(stream, room) {
  const name = stream.name || "a person without a name";
  const answer = await post("/sign-out", { session: stream.session });
  if (!answer) {
    at("cut").textContent = `${name} is no longer in ${room}.`;
  } else if (answer.milliseconds === null) {
    at("cut").textContent = `${name} is still in ${room}.`;
  } else {
    at("cut").textContent = `${name} was gone from ${room} after ${answer.milliseconds} ms.`;
  }
  await refresh();
}

async function logIn(token) {
  const answer = await post("/log-in", { number: token.number });
  const who = `${token.name}, with the token for ${token.room}`;
  if (!answer) {
    at("answer").textContent = `${who}: the token is too old to be kept.`;
  } else if (answer.accepted) {
    at("answer").textContent = `${who}: Prosody accepts it.`;
  } else {
    at("answer").textContent = `${who}: Prosody refuses it, ${answer.condition}: ${answer.text}`;
  }
}

function personRow(room, stream) {
  const row = element("li");
  const standing = standingOf(stream);
  const button = element("button", "Sign out", { className: "plain", type: "button" });
  button.ariaLabel = `Sign out ${stream.name || ""} in ${room}`;
  button.dataset.key = stream.session;
  button.addEventListener("click", () => signOut(stream, room));
  row.append(
    element("strong", stream.name || "without a name"),
    element("span", standing, { className: `badge ${standing}` }),
    element("span", `in ${room}`),
    element("span", `since ${new Date(stream.since).toLocaleTimeString()}`, { className: "note" }),
    button,
  );
  return row;
}

function tokenRow(token) {
  const row = element("li");
  const verdict = token.refusal ? `refused: ${token.refusal}` : `accepted for ${token.seconds} more s`;
  const button = element("button", "Log in again", { className: "plain", type: "button" });
  button.ariaLabel = `Log in again as ${token.name} with token ${token.number}`;
  button.dataset.key = `token ${token.number}`;
  button.addEventListener("click", () => logIn(token));
  const details = element("details");
  details.dataset.key = `claims ${token.number}`;
  details.append(element("summary", "Claims"), element("pre", JSON.stringify(token.claims, null, 2)));
  row.append(
    element("strong", `${token.name}, ${token.room}`),
    element("span", verdict, { className: token.refusal ? "wrong" : "" }),
    button,
    details,
  );
  return row;
}

/** Replaces rows, and keeps focus and open details. */
function replaceRows(list, rows) {
  const keyed = [...list.querySelectorAll("[data-key]")];
  const focused = document.activeElement?.dataset?.key;
  const opened = new Set(keyed.filter((one) => one.open).map((one) => one.dataset.key));
  const hadFocus = list.contains(document.activeElement);
  list.replaceChildren(...rows);
  for (const one of list.querySelectorAll("[data-key]")) {
    if (opened.has(one.dataset.key)) one.open = true;
    if (hadFocus && one.dataset.key === focused) one.focus();
  }
}

async function refresh() {
  const response = await fetch("/state").catch(() => null);
  if (!response?.ok) {
    at("cut").textContent = "The gateway does not answer.";
    return;
  }
  const { rooms, tokens } = await response.json();
  const people = rooms.flatMap(({ room, streams }) => streams.map((stream) => personRow(room, stream)));
  at("empty").hidden = people.length > 0;
  replaceRows(at("people"), people);
  replaceRows(at("tokens"), tokens.map(tokenRow));
}

refresh();
setInterval(refresh, 1000);
