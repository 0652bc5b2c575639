/** The response to the HTTP request is not a stream. */
export class HttpRefused extends Error {
  constructor(status, headers, body) {
    super(`refused with HTTP ${status}`);
    Object.assign(this, { name: "HttpRefused", status, headers, body });
  }
}

/** The stream ended, or did not open. */
export class StreamEnded extends Error {
  constructor(condition, detail = "") {
    super(`stream ended: ${condition ?? "without a word"} ${detail}`.trim());
    Object.assign(this, { name: "StreamEnded", condition });
  }
}

/** SASL failed; `condition` and `text` are the server's. */
export class LoginRefused extends Error {
  constructor(condition, text) {
    super(`login refused: ${condition}: ${text}`);
    Object.assign(this, { name: "LoginRefused", condition, text });
  }
}

/** The room refused the join; `marker` is the name of Jitsi's own element, if there is one. */
export class JoinRefused extends Error {
  constructor(condition, text, marker) {
    super(`join refused: ${condition}: ${text} (${marker})`);
    Object.assign(this, { name: "JoinRefused", condition, text, marker });
  }
}
