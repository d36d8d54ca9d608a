// A real socket.io server for the tests: `node server.js 3|4 PORT`. It ends when its standard input does.
"use strict";

const http = require("http");
const [version, port] = process.argv.slice(2);
const { Server } = require(`socket.io-${version}`);

const server = http.createServer();
// Pings often, so that a test sees some.
const io = new Server(server, { pingInterval: 200, pingTimeout: 20000, maxHttpBufferSize: 1e7, cookie: { name: "io" } });

function serve(socket) {
  socket.on("echo", (...args) => {
    const last = args[args.length - 1];
    if (typeof last === "function") last(...args.slice(0, -1));
    else socket.emit("echo", ...args);
  });
  socket.on("message", (...args) => socket.send(...args));
  // Asks the client something, and tells it what it answered.
  socket.on("ask", (question) => socket.emit("question", question, (...answer) => socket.emit("answered", ...answer)));
  socket.on("whoami", (reply) => {
    const { auth, query, headers } = socket.handshake;
    reply({ auth, room: query.room, own: headers["x-own"], namespace: socket.nsp.name, transport: socket.conn.transport.name });
  });
  socket.on("ticks", (count) => {
    for (let seq = 1; seq <= count; seq++) socket.emit("tick", { seq });
  });
  socket.on("leave", () => socket.disconnect(false));
  socket.on("kick", () => socket.disconnect(true));
}

io.on("connection", serve);
io.of("/chat").on("connection", serve);
io.of("/secret")
  .use((socket, next) => next(socket.handshake.auth.token === "letmein" ? undefined : new Error("not authorized")))
  .on("connection", serve);

server.listen(Number(port), "127.0.0.1");
process.stdin.on("end", () => process.exit(0)).resume();
