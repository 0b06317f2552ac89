module.exports = {
  apps: [{ name: 'worker', script: './worker.js', cwd: __dirname, exp_backoff_restart_delay: 100 }],
};
