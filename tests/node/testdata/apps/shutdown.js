// Ends when it is told to by a message, and by nothing else.
const say = require('./say.js');

process.on('SIGINT', () => say('SIGINT'));
process.on('message', (message) => {
  say('message', { message });
  if (message === 'shutdown') process.exit(0);
});
say('up');
