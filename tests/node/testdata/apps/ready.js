// Says that it is ready when somebody connects to the socket of its argument.
const net = require('node:net');
const fs = require('node:fs');
const say = require('./say.js');

const [path] = process.argv.slice(2);
fs.rmSync(path, { force: true });
const door = net.createServer((socket) => {
  socket.end();
  process.send('ready');
});
door.listen({ path, exclusive: true }, () => say('up'));
