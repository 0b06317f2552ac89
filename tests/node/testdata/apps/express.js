const express = require('express');
const say = require('./say.js');

const app = express();
app.get('/', (_, res) => res.json({ pid: process.pid }));
const server = app.listen(0, () => say('listening', server.address()));
