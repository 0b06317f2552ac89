export default {
  apps: [{ name: 'app1', script: './app.js' }],
};
