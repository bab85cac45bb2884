// Node's `ws` with its manual's loop over connections; its protocol is that of ../__init__.py.
//
// node server.js EVENT_BYTES

const { WebSocketServer, WebSocket } = require("ws");

const event = Buffer.alloc(Number(process.argv[2]), "x");
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 4096 });

server.on("listening", () => console.log(server.address().port));
server.on("connection", (client) => {
  client.on("error", () => client.terminate());
  client.send("hi");
});

process.stdin.on("data", (lines) => {
  for (const byte of lines)
    if (byte === 10)
      for (const client of server.clients)
        if (client.readyState === WebSocket.OPEN) client.send(event, { binary: false });
});
process.stdin.on("end", () => process.exit());
