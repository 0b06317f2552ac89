const config = {
  apps: [{ name: 'app1', script: './app.js' }],
};

export default config;
