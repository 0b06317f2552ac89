module.exports = {
  apps: [
    {
      name: 'http',
      script: './server.js',
      cwd: __dirname,
      instances: 2,
      exec_mode: 'cluster',
      wait_ready: true,
      env: { PORT: 3000 },
    },
  ],
};
