import { setTimeout as wait } from 'node:timers/promises'

const LOOK_INTERVAL_MS = 20

/** Waits until `holds`, looking every 20 ms. @param facts - Told when the deadline passes. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs: number,
  facts: () => string = () => '',
): Promise<void> {
  const untilMs = performance.now() + deadlineMs
  while (!(await holds())) {
    if (performance.now() > untilMs) throw new Error(`not within ${deadlineMs} ms: ${what}\n${facts()}`)
    await wait(LOOK_INTERVAL_MS)
  }
}
