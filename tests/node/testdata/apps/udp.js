// Answers each datagram with the pid.
const dgram = require('node:dgram');
const say = require('./say.js');

const socket = dgram.createSocket('udp4');
socket.on('message', (_, from) => socket.send(JSON.stringify({ pid: process.pid }), from.port, from.address));
socket.on('error', (err) => say('error', { code: err.code, message: err.message }));
socket.bind(Number(process.argv[2]), () => say('listening', socket.address()));
