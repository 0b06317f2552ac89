// A web server that says who answers, and ends when it is asked to.
const http = require('node:http');

const port = Number(process.env.PORT || 17310);
let answered = 0;

const server = http.createServer((req, res) => {
  answered += 1;
  res.setHeader('Content-Type', 'application/json');
  res.end(`${JSON.stringify({ app: 'api', pid: process.pid, path: req.url, answered })}\n`);
});

server.listen(port, '127.0.0.1', () => console.log(`api listens on 127.0.0.1:${port}`));

process.on('SIGINT', () => {
  console.log('api ends');
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
