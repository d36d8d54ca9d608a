// A real socket.io server for the tests: `node server.js 2|3|4 PORT [CERTIFICATE KEY]`, with these two over TLS. It ends when its
// standard input does. What it counted of its clients is at /counts: the other side of the books.
"use strict";

const { readFileSync } = require("fs");
const [version, port, cert, key] = process.argv.slice(2);
const by = cert ? require("https") : require("http");
const library = require(`socket.io-${version}`);
const Server = library.Server ?? library;

const counts = { open: 0, opened: {}, upgraded: 0, connected: {}, refused: 0, received: 0, acknowledged: 0, sent: 0, left: {} };
const more = (of, key) => (of[key] = (of[key] ?? 0) + 1);

const files = cert ? { cert: readFileSync(cert), key: readFileSync(key) } : {};
const server = by.createServer(files, (request, response) => {
  // Other paths are nobody's.
  if (request.url !== "/counts") return;
  counts.open = io.engine.clientsCount;
  response.end(JSON.stringify(counts));
});
// Pings often, so that a test sees some.
const io = new Server(server, { pingInterval: 200, pingTimeout: 20000, maxHttpBufferSize: 1e7, cookie: library.Server ? { name: "io" } : "io" });

io.engine.on("connection", (connection) => {
  more(counts.opened, connection.transport.name);
  connection.on("upgrade", () => counts.upgraded++);
});

function serve(socket) {
  const emit = (...args) => {
    counts.sent++;
    socket.emit(...args);
  };
  // What the client asks, and how it is answered, if it wants to be.
  const on = (event, handle) =>
    socket.on(event, (...args) => {
      counts.received++;
      const reply = typeof args[args.length - 1] === "function" ? args.pop() : undefined;
      const acknowledge = (...answer) => {
        counts.acknowledged++;
        reply(...answer);
      };
      handle(args, reply && acknowledge);
    });
  more(counts.connected, socket.nsp.name);
  on("echo", (args, reply) => (reply ? reply(...args) : emit("echo", ...args)));
  on("message", (args) => emit("message", ...args));
  // Asks the client something, and repeats its answer to it.
  on("ask", ([question]) => emit("question", question, (...answer) => emit("answered", ...answer)));
  on("whoami", (_, reply) => {
    const { auth, query, headers } = socket.handshake;
    reply({ auth, room: query.room, own: headers["x-own"], namespace: socket.nsp.name, transport: socket.conn.transport.name });
  });
  on("ticks", ([count]) => {
    for (let seq = 1; seq <= count; seq++) emit("tick", { seq });
  });
  // Numbered updates that say when they were published, for as long as they are wanted.
  let updates;
  on("subscribe", ([every], reply) => {
    let seq = 0;
    updates = setInterval(() => emit("update", { to: socket.id, seq: ++seq, at: Date.now() }), every);
    reply();
  });
  on("unsubscribe", (_, reply) => {
    clearInterval(updates);
    reply();
  });
  on("leave", () => socket.disconnect(false));
  on("kick", () => socket.disconnect(true));
  socket.on("disconnect", (reason) => {
    clearInterval(updates);
    more(counts.left, reason);
  });
}

io.on("connection", serve);
io.of("/chat").on("connection", serve);
io.of("/secret")
  .use((socket, next) => {
    if (socket.handshake.auth.token === "letmein") return next();
    counts.refused++;
    next(new Error("not authorized"));
  })
  .on("connection", serve);

server.listen(Number(port), "127.0.0.1");
process.stdin.on("end", () => process.exit(0)).resume();
