// Sends TOTAL numbered messages of several sizes, one every 20 ms.
const total = Number(process.env.TOTAL)
const sizes = [50, 400, 4000, 40000]
let n = 0
const timer = setInterval(() => {
  n++
  const size = sizes[n % sizes.length]
  process.send({ n, pad: 'x'.repeat(size - JSON.stringify({ n, pad: '' }).length) })
  if (n === total) clearInterval(timer)
}, 20)
setInterval(() => {}, 1 << 30) // lives on
