// An ES module that awaits before it listens.
import cluster from 'node:cluster';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import say from './say.js';

await readFile(new URL(import.meta.url));
const server = createServer((_, res) => res.end(JSON.stringify({ pid: process.pid, id: cluster.worker.id })));
server.listen(0, () => say('listening', server.address()));
