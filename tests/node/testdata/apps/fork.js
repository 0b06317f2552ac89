// A script in fork mode: it disconnects, works on, and its children have no
// channel.
const { execFile } = require('node:child_process');
const say = require('./say.js');

const look = 'console.log(JSON.stringify({ send: typeof process.send, fd: process.env.NODE_CHANNEL_FD ?? null }))';
execFile(process.execPath, ['-e', look], (err, out) => {
  say('grandchild', err ? { message: err.message } : JSON.parse(out));
  process.send('hello', () => {
    process.on('disconnect', () => say('disconnected', { connected: process.connected }));
    process.disconnect();
    setInterval(() => {}, 1 << 30);
  });
});
