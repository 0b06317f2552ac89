// The apps of `make demo`: a Node server, a Python worker and a compiled
// program in three instances. Paths are relative to this file.
module.exports = {
  apps: [
    {
      name: 'api',
      script: './api.js',
      env: { PORT: 47310 },
    },
    {
      name: 'jobs',
      script: './jobs.py',
      interpreter: 'python3',
      restart_delay: 500,
    },
    {
      // PORT grows by one per instance: 47320, 47321, 47322.
      name: 'srv',
      script: process.env.TEND_DEMO_SERVER || '../.demo/server',
      interpreter: 'none',
      instances: 3,
      exec_mode: 'fork',
      env: { PORT: 47320 },
      increment_var: 'PORT',
      kill_timeout: 3000,
    },
  ],
};
