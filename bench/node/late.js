// A version that listens later than anybody waits.
const server = require('node:http').createServer((question, response) => response.end('hello'))
setTimeout(() => server.listen(process.env.PORT), 4000)
