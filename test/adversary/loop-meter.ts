/**
 * Loaded into a member before its program (`node --import`): tells over IPC for how long its event loop was held at
 * the most. What counts is the processor time of the main thread between two looks, not the time of day, so that a busy
 * machine does not count as a held loop.
 */
const LOOK_MS = 5

let worstMs = 0
let before = process.threadCpuUsage()
setInterval(() => {
  const { user, system } = process.threadCpuUsage(before)
  before = process.threadCpuUsage()
  worstMs = Math.max(worstMs, (user + system) / 1000)
}, LOOK_MS).unref()

process.on('message', () => {
  process.send?.({ heldMs: worstMs })
  worstMs = 0
})
process.channel?.unref()
