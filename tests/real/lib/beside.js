import { once } from "node:events";
import { createServer } from "node:http";
import { Server } from "socket.io";
import { listen } from "./process.js";
import { closeServer } from "./sockets.js";

/** Carries what one says in a room of the service to the others there. */
function relayDrawings(io, left) {
  io.on("connection", (socket) => {
    socket.on("join-room", (board, done) => {
      socket.join(board);
      done();
    });
    socket.on("draw", (board, line) => socket.to(board).emit("drawn", line));
    socket.on("disconnect", (reason) => left.push({ id: socket.id, reason, at: Date.now() }));
  });
}

/**
 * Stands in for what is served beside a meeting, each on a port of its own:
 * a whiteboard like Jitsi's (a socket.io server that takes WebSockets only), notes like Etherpad's (socket.io below
 * `/etherpad/`, with polling as well), and a service for files with tokens of its own. Each records its requests.
 */
export async function startBeside() {
  const requests = [];
  const errors = [];
  const left = [];
  const record = (request) => requests.push({ method: request.method, url: request.url, rawHeaders: request.rawHeaders, headers: request.headers });
  const serve = (respond) => {
    const server = createServer((request, response) => {
      record(request);
      respond(request, response);
    });
    server.on("clientError", (error, socket) => {
      // A connection that the gateway closes while it is idle is none.
      if (error.code !== "ECONNRESET") errors.push(error.message);
      socket.destroy();
    });
    server.on("upgrade", record);
    return server;
  };
  const board = serve((request, response) => response.writeHead(400).end());
  const boardIo = new Server(board, { transports: ["websocket"] });
  const notes = serve((request, response) => response.setHeader("set-cookie", "express_sid=1").end(`<p>${request.url}</p>`));
  const notesIo = new Server(notes, { path: "/etherpad/socket.io" });
  const files = serve(async (request, response) => {
    let length = 0;
    request.on("data", (chunk) => (length += chunk.length));
    try {
      await once(request, "end");
    } catch (error) {
      return errors.push(error.message);
    }
    const known = request.headers.authorization === "Bearer of-the-file-service";
    response.writeHead(known ? 200 : 401, { "content-type": "application/json" }).end(JSON.stringify({ length }));
  });
  for (const io of [boardIo, notesIo]) relayDrawings(io, left);
  const ports = await Promise.all([board, notes, files].map((server) => listen(server)));
  const [boardUrl, notesUrl, filesUrl] = ports.map((port) => `http://127.0.0.1:${port}`);
  return {
    /** The sections of `gateway.toml`. */
    location: [
      { path: "/socket.io/", upstream: boardUrl, who: "in-a-room", websocket: true },
      { path: "/etherpad/", upstream: notesUrl, who: "in-a-room", methods: ["GET", "POST"], websocket: true },
      { path: "/file-service/", upstream: filesUrl, who: "in-a-room", methods: ["GET", "POST", "DELETE"], keep_authorization: true },
    ],
    requests,
    errors,
    /** The sockets that ended, with the reason and the time. */
    left,
    async stop() {
      for (const io of [boardIo, notesIo]) io.disconnectSockets(true);
      for (const server of [board, notes, files]) await closeServer(server);
    },
  };
}
