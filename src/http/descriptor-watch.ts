import { close, open } from 'node:fs'
import { devNull } from 'node:os'
import type { Clock } from '../clock.ts'
import { LimitedWarnings } from '../limited-warnings.ts'
import type { Logger } from '../logger.ts'
import type { PortConnections } from './port-connections.ts'

/** Milliseconds between two looks whether there is a file descriptor left. */
const LOOK_MS = 1000

/** Milliseconds between two lines about it. */
const WARNING_MS = 60_000

/** Connections of clients, of which fewer can be allowed. */
export type ClientPort = Pick<PortConnections, 'limit' | 'allowFewer' | 'allowMore'>

/**
 * Notices that file descriptors have run out, which nothing else does: libuv closes the connections that come then, probes
 * among them, and says nothing. Idle connections of clients make room, and fewer are allowed for a while.
 *
 * @param ports - Those whose clients make room.
 * @param tryOpen - Whether one more descriptor can be had.
 * @returns Ends the watch.
 */
export function watchDescriptors(
  clock: Clock,
  logger: Logger,
  ports: readonly ClientPort[],
  tryOpen: () => Promise<boolean> = tryOpenOne,
): () => void {
  const warnings = new LimitedWarnings(clock, logger, WARNING_MS)
  let cancel = () => {}
  let isOver = false
  const look = async () => {
    if (await tryOpen()) {
      for (const port of ports) port.allowMore()
      return
    }
    for (const port of ports) port.allowFewer()
    warnings.warn(
      { event: 'descriptors.exhausted', limit: ports.reduce((sum, { limit }) => sum + limit, 0) },
      'File descriptors have run out: closed idle connections, and allow fewer',
    )
  }
  const lookLater = () => {
    cancel = clock.after(LOOK_MS, () => {
      void look().then(() => {
        if (!isOver) lookLater()
      })
    })
  }
  lookLater()
  return () => {
    isOver = true
    cancel()
  }
}

/** By callbacks: `node:fs/promises` is a megabyte that an idle member has no other use for. */
function tryOpenOne(): Promise<boolean> {
  return new Promise((resolve) => {
    open(devNull, (error, descriptor) => {
      if (error === null) {
        close(descriptor, () => resolve(true))
      } else resolve(error.code !== 'EMFILE' && error.code !== 'ENFILE')
    })
  })
}
