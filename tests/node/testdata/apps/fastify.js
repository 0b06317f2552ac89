const fastify = require('fastify')();
const say = require('./say.js');

fastify.get('/', async () => ({ pid: process.pid }));
fastify.listen({ port: 0, host: '127.0.0.1' }).then(() => say('listening', fastify.server.address()));
