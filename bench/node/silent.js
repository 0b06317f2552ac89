// A version that never listens.
setInterval(() => {}, 1000)
