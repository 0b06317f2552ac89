// Echoes over websockets, beside plain HTTP.
const http = require('node:http');
const { WebSocketServer } = require('ws');
const say = require('./say.js');

const server = http.createServer((_, res) => res.end(JSON.stringify({ pid: process.pid })));
const sockets = new WebSocketServer({ server });
sockets.on('connection', (socket) => {
  socket.on('message', (data, binary) => socket.send(data, { binary }));
  socket.send(JSON.stringify({ pid: process.pid }));
});
process.on('SIGINT', () => {
  say('SIGINT');
  if (sockets.clients.size === 0) process.exit(0); // else it stays, until kill_timeout
});
server.listen(0, () => say('listening', server.address()));
