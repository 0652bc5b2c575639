// Requests whose end or head two parsers could read differently.

/**
 * Bodies with an ambiguous length, by name: functions from a body to the parts to send.
 * @param {(...lines: string[]) => string} head makes the head of a POST from further header lines
 */
export const ambiguousLengths = (head) => ({
  "P1 chunked with a body that is not": (body) => [head("Transfer-Encoding: chunked"), body],
  "P3 two equal lengths": (body) => [head(`Content-Length: ${body.length}`, `Content-Length: ${body.length}`), body],
  "P3 two different lengths": (body) => [head("Content-Length: 0", `Content-Length: ${body.length}`), body],
  "P4 a list of lengths": (body) => [head(`Content-Length: ${body.length}, ${body.length}`), body],
  "P5 an empty length": (body) => [head("Content-Length: "), body],
  "P6 an exponent": (body) => [head("Content-Length: 1e1"), body],
  "P7 a hexadecimal length": (body) => [head(`Content-Length: 0x${body.length.toString(16)}`), body],
  "P7 a signed length": (body) => [head(`Content-Length: +${body.length}`), body],
  "P7 a float": (body) => [head(`Content-Length: ${body.length}.0`), body],
  "P8 a negative length": (body) => [head("Content-Length: -1"), body],
  "P9 length and chunked": (body) => [
    head(`Content-Length: ${body.length + 5}`, "Transfer-Encoding: chunked"), `0\r\n\r\n${body}`,
  ],
  "P9 chunked and length": (body) => [
    head("Transfer-Encoding: chunked", `Content-Length: ${body.length + 5}`), `0\r\n\r\n${body}`,
  ],
  "P9 chunked, differently spelled": (body) => [
    head(`Content-Length: ${body.length + 5}`, "Transfer-Encoding: xchunked"), `0\r\n\r\n${body}`,
  ],
  "P10 a length behind a bare line feed": (body) => [head(`X-Note: x\nContent-Length: ${body.length}`), body],
  "P2 a chunk longer than it says": (body) => [head("Transfer-Encoding: chunked"), `1\r\n${body}\r\n0\r\n\r\n`],
});

/**
 * Heads that are malformed, by name.
 * @param {(...lines: string[]) => string} head makes the head of a POST from further header lines
 */
export const malformedHeads = (head) => ({
  "P11 a NUL in a value": () => head("X-Note: b\0c", "Content-Length: 0"),
  "P12 a folded line": () => head("X-Note: b\r\n c", "Content-Length: 0"),
  "P12 a space before the colon": () => head("X-Note : b", "Content-Length: 0"),
  "P13 two hosts": () => head("Host: evil.example", "Content-Length: 0"),
  "P13 no host": () => head("Content-Length: 0").replace(/Host: [^\r]*\r\n/, ""),
  "P13 a host of elsewhere": () => head("Content-Length: 0").replace(/Host: [^\r]*/, "Host: evil.example"),
  "P19 line feeds only": () => head("Content-Length: 0").replaceAll("\r\n", "\n"),
  "P18 a head of 80 KiB": () => head(`X-Note: ${"a".repeat(80 * 1024)}`, "Content-Length: 0"),
  "an underscore in a name": () => head("X_Proxy_Region: moon", "Content-Length: 0"),
});

/** Changes of a WebSocket handshake's headers that make it none. */
export const malformedHandshakes = {
  "P20 a version that is not": { "Sec-WebSocket-Version": "99" },
  "P22 no key": { "Sec-WebSocket-Key": undefined },
  "P22 a key of another length": { "Sec-WebSocket-Key": "c2hvcnQ=" },
};
