// HTTPS with the key and the certificate of the arguments.
const { readFileSync } = require('node:fs');
const https = require('node:https');
const say = require('./say.js');

const [key, cert] = process.argv.slice(2).map((path) => readFileSync(path));
const server = https.createServer({ key, cert }, (req, res) => {
  res.end(JSON.stringify({ pid: process.pid, resumed: req.socket.isSessionReused() }));
});
server.listen(0, () => say('listening', server.address()));
