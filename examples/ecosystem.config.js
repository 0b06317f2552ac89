// The apps of `make demo`: a Node server, a Python worker and a compiled
// program in three instances. A path is seen from cwd, and cwd is where the
// command was typed when it is not given, as with PM2. The ports are below
// those that Linux gives to clients, which a busy machine has in use.
module.exports = {
  apps: [
    {
      name: 'api',
      cwd: __dirname,
      script: './api.js',
      env: { PORT: 17310 },
    },
    {
      name: 'jobs',
      cwd: __dirname,
      script: './jobs.py',
      interpreter: 'python3',
      restart_delay: 500,
    },
    {
      // PORT grows by one per instance: 17320, 17321, 17322.
      name: 'srv',
      cwd: __dirname,
      script: process.env.TEND_DEMO_SERVER || '../.demo/server',
      interpreter: 'none',
      instances: 3,
      exec_mode: 'fork',
      env: { PORT: 17320 },
      increment_var: 'PORT',
      kill_timeout: 3000,
    },
  ],
};
