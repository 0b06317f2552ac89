// Answers every request. Started with -i max, its workers share the port.
const http = require('http');

const server = http.createServer((request, response) => {
  response.end(`hello from process ${process.pid}\n`);
});

server.listen(process.env.PORT || 3000, () => {
  console.log(`listening on ${server.address().port}`);
  if (process.send) process.send('ready'); // wait_ready waits for this
});

// A stop and a reload begin with SIGINT: what is under way is finished first.
process.on('SIGINT', () => server.close(() => process.exit(0)));
