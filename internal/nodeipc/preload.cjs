'use strict';
// Loaded by tend into the workers of a cluster. It waits for one command and
// until then does nothing. On "drain" this process stops accepting, answers
// every HTTP/1 request with "Connection: close", ends connections that stay
// idle, and tells tend when none is left. HTTP/2 and upgraded connections are
// the app's own affair.

if (typeof process.send === 'function' && require('worker_threads').isMainThread) {
  process.on('internalMessage', (message) => {
    if (message && message.cmd === 'NODE_TEND' && message.act === 'drain') drain();
  });
}

const look = 10; // milliseconds between two looks at what is left
const patience = 500; // how long a client may think before its idle connection ends
let draining = false;

function drain() {
  if (draining) return;
  draining = true;
  const net = require('net');
  const { channel } = require('diagnostics_channel');
  channel('http.server.request.start').subscribe(({ response }) => {
    response.shouldKeepAlive = false;
  });
  const idle = new Map(); // socket to the time since which nothing happens on it
  const timer = setInterval(step, look);
  step();

  function step() {
    const now = Date.now();
    let left = 0;
    for (const server of servers(net)) {
      // Not the server's own close: that one ends idle connections at once,
      // while a client may be about to use one.
      if (server._handle) net.Server.prototype.close.call(server);
      for (const parser of connections(server)) {
        const socket = parser.socket;
        if (!socket || socket.destroyed) continue;
        left++;
        const response = socket._httpMessage;
        if (response || (parser.incoming && !parser.incoming.complete)) {
          idle.delete(socket);
          if (response && !response.headersSent) response.shouldKeepAlive = false;
        } else if (!idle.has(socket)) {
          idle.set(socket, now);
        } else if (now - idle.get(socket) >= patience) {
          socket.end();
        }
      }
    }
    if (left === 0) {
      clearInterval(timer);
      if (process.connected) process.send({ cmd: 'NODE_TEND', act: 'drained' }, undefined, {}, () => {});
    }
  }
}

// servers are those that listen or have connections. In a worker that is
// handed its connections a server is no handle of its own.
function servers(net) {
  const all = new Set();
  for (const handle of process._getActiveHandles()) {
    if (handle instanceof net.Server) all.add(handle);
    else if (handle instanceof net.Socket && handle.server instanceof net.Server) all.add(handle.server);
  }
  return all;
}

// connections are the parsers of a server's HTTP/1 connections.
function connections(server) {
  for (const symbol of Object.getOwnPropertySymbols(server)) {
    if (symbol.description === 'http.server.connections' && server[symbol] && server[symbol].all) return server[symbol].all();
  }
  return [];
}
