// An HTTP server for each argument, which is the options of its listen. Each
// answers with the pid of the worker; the paths are what a worker can do.
const cluster = require('node:cluster');
const http = require('node:http');
const fs = require('node:fs');
const say = require('./say.js');

// What JSON cannot tell: only one of the workers is meant.
const mine = (options) => options.only === undefined || String(options.only) === process.env.NODE_APP_INSTANCE;

const serve = (options) => {
  const server = http.createServer((req, res) => {
    const [, verb, arg] = new URL(req.url, 'http://app').pathname.split('/');
    const answer = (body) => res.end(JSON.stringify({ pid: process.pid, ...body }));
    if (!verbs[verb]) return answer({ id: cluster.worker?.id });
    verbs[verb]({ arg, answer, server, req, res });
  });
  if (options.maxConnections && mine(options)) server.maxConnections = options.maxConnections;
  server.on('error', (err) => {
    const { code, errno, syscall, address, port, message } = err;
    say('error', { code, errno, syscall, address, port, message });
  });
  server.on('close', () => say('closed'));
  server.listen(options, () => {
    const at = server.address();
    say('listening', { ...(typeof at === 'string' ? { path: at } : at), real: server._handle.fd >= 0 });
  });
};

const verbs = {
  // Holds the answer back until the file arg is there.
  wait: ({ arg, answer }) => {
    say('waiting');
    const gate = decodeURIComponent(arg);
    const watcher = fs.watch(require('node:path').dirname(gate), () => look());
    const look = () => {
      if (!fs.existsSync(gate)) return;
      watcher.close();
      answer();
    };
    look();
  },
  // Reads nothing and answers nobody until the file arg is there.
  busy: ({ arg, answer }) => {
    say('busy');
    while (!fs.existsSync(decodeURIComponent(arg)));
    answer();
  },
  connected: ({ answer }) => answer({ connected: cluster.worker.isConnected() && process.connected }),
  leave: ({ arg, answer }) => {
    answer();
    cluster.worker.on('disconnect', () => say('disconnect', { meant: cluster.worker.exitedAfterDisconnect === true }));
    process.on('exit', (code) => say('exit', { code, meant: cluster.worker.exitedAfterDisconnect === true }));
    const how = {
      'worker.disconnect': () => cluster.worker.disconnect(),
      'worker.kill': () => cluster.worker.kill(),
      'process.disconnect': () => process.disconnect(),
      'process.exit': () => process.exit(3),
    };
    how[arg]();
  },
  close: ({ answer, server, res }) => {
    res.setHeader('connection', 'close');
    answer();
    server.close();
  },
};

process.on('message', ({ listen }) => serve({ port: listen }));
process.argv.slice(2).forEach((arg) => serve(JSON.parse(arg)));
