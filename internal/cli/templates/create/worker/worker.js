// Does something now and then.
let jobs = 0;

const timer = setInterval(() => {
  jobs += 1;
  console.log(`job ${jobs} done`);
}, 2000);

process.on('SIGINT', () => {
  clearInterval(timer);
  console.log(`${jobs} jobs, and good night`);
});
