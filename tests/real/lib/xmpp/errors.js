/** The HTTP request for a stream was answered with something else than a stream. */
export class HttpRefused extends Error {
  constructor(status, headers, body) {
    super(`refused with HTTP ${status}`);
    Object.assign(this, { name: "HttpRefused", status, headers, body });
  }
}

/** The stream ended, or ended instead of starting. */
export class StreamEnded extends Error {
  constructor(condition, detail = "") {
    super(`stream ended: ${condition ?? "without a word"} ${detail}`.trim());
    Object.assign(this, { name: "StreamEnded", condition });
  }
}

/** SASL failed: `condition` and `text` as the server said them. */
export class LoginRefused extends Error {
  constructor(condition, text) {
    super(`login refused: ${condition}: ${text}`);
    Object.assign(this, { name: "LoginRefused", condition, text });
  }
}

/** The room refused the join; `marker` is the name of Jitsi's own element, if any. */
export class JoinRefused extends Error {
  constructor(condition, text, marker) {
    super(`join refused: ${condition}: ${text} (${marker})`);
    Object.assign(this, { name: "JoinRefused", condition, text, marker });
  }
}
