// Says what messages it gets, and answers "send" with one of each kind.
const say = require('./say.js');

const euro = '€'; // three bytes, which a read may cut
process.on('message', (message) => {
  say('message', typeof message === 'string' && message.length > 100
    ? { length: message.length, same: message === euro.repeat(message.length) }
    : { message });
  if (message !== 'send') return;
  for (const m of [
    'text', 7, 0, true, null, [1, [2]], { a: { b: 'c' } }, { cmd: 'start' }, { cmd: 'NODE_' }, { cmd: 5 },
    'line\nbreak', 'ä€😀', '',
  ]) process.send(m);
  process.send(euro.repeat(32 << 10));
  process.send(euro.repeat(1 << 20));
  process.send('last', () => say('sent'));
});
say('up');
