// A plain primary of Node's own cluster. Once all workers listen, their pids
// are in workers.json.
const cluster = require('node:cluster')
const fs = require('node:fs')

const { script, workers, env } = JSON.parse(fs.readFileSync('cluster.json', 'utf8'))
const pids = []
cluster.setupPrimary({ exec: script })
cluster.on('listening', (worker) => {
  pids.push(worker.process.pid)
  if (pids.length === workers) {
    fs.writeFileSync('workers.json.new', JSON.stringify(pids))
    fs.renameSync('workers.json.new', 'workers.json')
  }
})
for (let i = 0; i < workers; i++) cluster.fork(env)
