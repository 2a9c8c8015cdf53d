// WebSocket by `ws`, Server-Sent Events and long polling by Express, as the
// tutorials have them: a list of clients, and a loop over it.
import { createServer } from "node:http";
import express from "express";
import { WebSocket, WebSocketServer } from "ws";

const app = express();
app.use(express.text({ limit: "1mb" }));

/** What belongs to a name: open sockets, open streams, waiting polls, the last messages. */
const rooms = new Map();
function room(name) {
  let found = rooms.get(name);
  if (!found) {
    found = { sockets: new Set(), streams: new Set(), polls: new Set(), log: [], top: 0 };
    rooms.set(name, found);
  }
  return found;
}

function publish(name, message) {
  const { sockets, streams, polls, log } = room(name);
  for (const socket of sockets) {
    if (socket.readyState === WebSocket.OPEN) socket.send(message);
  }
  for (const stream of streams) stream.write(`data: ${message}\n\n`);
  log.push(message);
  if (log.length > 1000) log.shift();
  room(name).top += 1;
  for (const answer of polls) answer();
  polls.clear();
}

app.get("/sse/:room", (request, response) => {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  response.write(": open\n\n");
  const { streams } = room(request.params.room);
  streams.add(response);
  request.on("close", () => streams.delete(response));
});

app.get("/poll/:room", (request, response) => {
  const here = room(request.params.room);
  const since = request.query.since === undefined ? here.top : Number(request.query.since);
  const answer = () => {
    clearTimeout(timer);
    const held = here.top - here.log.length;
    response.json({ messages: here.log.slice(Math.max(0, since - held)), next: here.top });
  };
  const timer = setTimeout(() => {
    here.polls.delete(answer);
    answer();
  }, 25_000);
  if (request.query.since === undefined || since < here.top) return answer();
  here.polls.add(answer);
  request.on("close", () => here.polls.delete(answer));
});

app.post("/pub/:room", (request, response) => {
  publish(request.params.room, request.body);
  response.sendStatus(204);
});

const server = createServer(app);
new WebSocketServer({ server }).on("connection", (socket, request) => {
  const name = request.url.slice("/ws/".length);
  room(name).sockets.add(socket);
  socket.on("message", (data) => publish(name, data.toString()));
  socket.on("close", () => room(name).sockets.delete(socket));
});
server.keepAliveTimeout = 75_000;
server.listen(Number(process.argv[2]), "127.0.0.1", 4096);
