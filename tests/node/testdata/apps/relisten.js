// Listens on a port, closes, and listens there again: three times.
const http = require('node:http');
const say = require('./say.js');

const [port] = process.argv.slice(2).map(Number);
let round = 0;
const listen = () => {
  const server = http.createServer((req, res) => {
    res.setHeader('connection', 'close');
    res.end(JSON.stringify({ pid: process.pid, round }));
  });
  server.on('error', (err) => say('error', { code: err.code, message: err.message }));
  server.listen(port, () => {
    say('listening', { port: server.address().port });
    if (++round < 3) server.close(listen);
  });
};
listen();
