/**
 * Loaded into a process before its program (`node --import`): for each message over IPC it tells for how long the event loop was
 * held since the one before.
 */
import { meterLoop } from '../../lab/loop-meter.ts'

const held = meterLoop()
process.on('message', () => {
  process.send?.(held())
})
process.channel?.unref()
