// Answers at once, or after DELAY ms.
const delay = Number(process.env.DELAY)
const answer = delay
  ? (question, response) => setTimeout(() => response.end('hello'), delay)
  : (question, response) => response.end('hello')
require('node:http').createServer(answer).listen(process.env.PORT)
