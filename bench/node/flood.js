// Sends as fast as its parent reads, for SECONDS. The next message waits for
// one to be on its way, or this process would be the first to run out of memory.
const end = Date.now() + 1000 * Number(process.env.SECONDS)
const pad = 'x'.repeat(1000)
const send = () => {
  if (Date.now() < end) process.send({ pad }, send)
}
for (let i = 0; i < 64; i++) send()
setInterval(() => {}, 1 << 30) // lives on
