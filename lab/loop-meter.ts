/** For how long the event loop was held, at the most. */
export interface Held {
  /** Of the processor's time: what else the machine does does not count. */
  readonly cpuMs: number
  /** By the clock. */
  readonly clockMs: number
}

const LOOK_MS = 1

/**
 * Watches this thread's event loop from now on: how much processor time, and how much time, passes from one look to the next.
 *
 * @returns Call it for the most since the last call.
 */
export function meterLoop(): () => Held {
  let before = threadCpuMs()
  let beforeMs = performance.now()
  let most: Held = { cpuMs: 0, clockMs: 0 }
  const look = () => {
    const [now, nowMs] = [threadCpuMs(), performance.now()]
    most = {
      cpuMs: Math.max(most.cpuMs, now - before),
      clockMs: Math.max(most.clockMs, nowMs - beforeMs),
    }
    before = now
    beforeMs = nowMs
  }
  setInterval(look, LOOK_MS).unref()
  return () => {
    // What held the loop until this moment belongs to the time before it.
    look()
    const told = most
    most = { cpuMs: 0, clockMs: 0 }
    return told
  }
}

/** Processor time of this thread, in milliseconds. */
export function threadCpuMs(): number {
  // Of a thread that runs, Linux counts in steps of a tick, some 4 ms; asking for the whole process brings it up to date.
  process.cpuUsage()
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}
