// Tells the test one thing, as a line of JSON on stdout. It writes at once, so
// that nothing is lost when the process ends.
const { writeSync } = require('node:fs');

module.exports = (what, data = {}) => {
  const line = { say: what, pid: process.pid, instance: process.env.NODE_APP_INSTANCE, data };
  writeSync(1, JSON.stringify(line) + '\n');
};
