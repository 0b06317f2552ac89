// What a process can learn of itself from Node.
const cluster = require('node:cluster');
const say = require('./say.js');

say('identity', {
  isWorker: cluster.isWorker,
  isPrimary: cluster.isPrimary,
  isMaster: cluster.isMaster,
  id: cluster.worker?.id ?? 0,
  env: Object.keys(process.env).filter((name) => /^NODE_(UNIQUE_ID|CHANNEL)/.test(name)),
  connected: process.connected === true,
  isMain: require.main === module,
  main: require.main.filename,
  exec: process.execPath,
  argv: process.argv,
  instance: process.env.NODE_APP_INSTANCE,
});
process.on('message', () => {}); // stay, with or without cluster
