// Starts the primary as a daemon is: with a session of its own, for Linux
// shares the cores out by session (sched_autogroup, sched(7)).
const primary = require('node:child_process').spawn(process.execPath, ['primary.js'], { detached: true, stdio: 'ignore' })
require('node:fs').writeFileSync('primary.pid', String(primary.pid))
primary.unref()
