// Sends as fast as its parent reads, for SECONDS, and writes to REPORT how many
// messages that were. The next message waits for one to be on its way, or this
// process would be the first to run out of memory.
const end = Date.now() + 1000 * Number(process.env.SECONDS)
const pad = 'x'.repeat(1000)
let sent = 0
const send = () => {
  if (Date.now() >= end) return
  process.send({ pad }, (error) => {
    if (error) throw error
    sent++
    send()
  })
}
for (let i = 0; i < 64; i++) send()
setTimeout(() => require('node:fs').writeFileSync(process.env.REPORT, sent + '\n'), 1000 * Number(process.env.SECONDS) + 500)
setInterval(() => {}, 1 << 30) // lives on
