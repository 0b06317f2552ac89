// Sends a socket and a server to whoever manages it, which has no use for
// them, and goes on sending.
const net = require('node:net');
const say = require('./say.js');

const server = net.createServer((socket) => {
  process.send('before');
  process.send('socket', socket);
  process.send('between');
  process.send('server', server);
  process.send('after', () => say('sent'));
});
server.listen({ port: 0, host: '127.0.0.1', exclusive: true }, () => say('up'));
process.on('message', () => {
  const client = net.connect(server.address().port, '127.0.0.1');
  client.on('close', () => say('socket closed'));
  client.resume();
});
