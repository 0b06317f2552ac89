// What `start`, `reload` and `apply` make of this project. Every field:
// docs/PM2-COMPAT.md of tend.
export default {
  apps: [
    {
      name: 'web',
      script: './server.js',
      instances: 'max', // one worker a core, which share the port
      exec_mode: 'cluster',
      max_memory_restart: '500M',
      env: { NODE_ENV: 'development', PORT: 3000 },
      env_production: { NODE_ENV: 'production', PORT: 8080 }, // start --env production
    },
    {
      name: 'jobs',
      script: './jobs.js',
      watch: ['jobs.js', 'lib'], // restarted when one of these changes
      exp_backoff_restart_delay: 100,
    },
  ],
};
