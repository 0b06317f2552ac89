// Ends by itself on SIGINT, when what it has is done.
const http = require('node:http');
const say = require('./say.js');

const server = http.createServer((_, res) => res.end(JSON.stringify({ pid: process.pid })));
process.on('SIGINT', () => {
  say('SIGINT');
  server.close(() => {
    say('done');
    process.exit(0);
  });
});
server.listen(Number(process.argv[2]), () => say('listening', server.address()));
