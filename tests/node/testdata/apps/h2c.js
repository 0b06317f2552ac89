// HTTP/2 without TLS.
const http2 = require('node:http2');
const say = require('./say.js');

const server = http2.createServer((req, res) => res.end(JSON.stringify({ pid: process.pid, version: req.httpVersion })));
server.listen(0, () => say('listening', server.address()));
