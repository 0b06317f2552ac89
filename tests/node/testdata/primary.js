// Node's own cluster as the manager of an app: what tend is compared with.
// node primary.js APP COUNT BALANCE ARGUMENT...; a COUNT of 0 is one process in
// fork mode. Each line on stdin is a command in JSON.
const { fork } = require('node:child_process');
const cluster = require('node:cluster');
const { createInterface } = require('node:readline');

const [exec, count, balance, ...args] = process.argv.slice(2);
const leaving = new Set();
const processes = new Map(); // by instance

const tell = (instance, data) => console.log(JSON.stringify({ say: 'told', pid: process.pid, instance: String(instance), data }));

const start = (instance) => {
  const env = { NODE_APP_INSTANCE: String(instance) };
  const child = count === '0' ? fork(exec, args, { env: { ...process.env, ...env } }) : cluster.fork(env);
  processes.set(instance, child);
  child.on('message', (message) => tell(instance, message));
  child.on('exit', () => leaving.has(child) || start(instance));
};

const scale = (n) => {
  for (let i = processes.size; i < n; i++) start(i);
  for (let i = processes.size - 1; i >= n; i--) {
    leaving.add(processes.get(i));
    processes.get(i).disconnect();
    processes.delete(i);
  }
};

if (balance) cluster.schedulingPolicy = balance === 'shared' ? cluster.SCHED_NONE : cluster.SCHED_RR;
cluster.setupPrimary({ exec, args });
scale(Number(count) || 1);
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const command = JSON.parse(line);
    if (command.scale) scale(command.scale);
    else for (const child of processes.values()) child.send(command.message);
  })
  .on('close', () => {
    for (const child of processes.values()) (child.process ?? child).kill('SIGKILL');
    process.exit();
  });
