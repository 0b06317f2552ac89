// Writes what it was given, and runs until it is told to end.
const fs = require('fs');
const path = require('path');
fs.mkdirSync(path.join(__dirname, 'said'), { recursive: true });
const shown = {};
for (const name of ['NODE_ENV', 'PORT', 'KEEP_ME', 'DROP_ME', 'DROP_TOO', 'A', 'B', 'C', 'OBJECT', 'WORKER', 'NODE_APP_INSTANCE', 'name', 'namespace', 'pm_id', 'instances', 'exec_mode', 'PWD']) {
  if (process.env[name] !== undefined) shown[name] = process.env[name];
}
const file = `${process.env.name.replace('/', '_')}-${process.env.pm_id}.json`;
fs.writeFileSync(path.join(__dirname, 'said', file), JSON.stringify({
  // What PM2 does from inside, with a wrapper around the app.
  argv: process.argv.slice(2), execArgv: process.execArgv.filter((a) => !/^--enable-source-maps$|preload/.test(a)), cwd: process.cwd(), env: shown,
}, null, 1));
setInterval(() => {}, 1000);
