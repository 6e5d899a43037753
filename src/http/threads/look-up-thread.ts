/** What runs in a thread besides the main one: the fast path, with a listener of its own at the look-up port. */
import { createServer } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock, type Clock } from '../../clock.ts'
import { LineLogger, type LogFields, type Logger, type PortLevel } from '../../logger.ts'
import { Sureness } from '../../service/sureness.ts'
import { ConnectionLedger } from '../connection-ledger.ts'
import { FastLookUps } from '../fast-look-ups.ts'
import { BACKLOG } from '../limits.ts'
import { sharedNowMs, type FromThread, type ThreadSetup, type ToThread } from './messages.ts'
import { relay } from './relay.ts'
import { OpenCounts, ThreadTally } from './shared-counts.ts'
import { CurrentCopy, ThreadRing } from './thread-ring.ts'

const setup = workerData as ThreadSetup
const main = parentPort!

function tell(message: FromThread): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- no window
  main.postMessage(message)
}

/** Has the main thread write the lines. */
class ThreadLogger extends LineLogger {
  readonly #fields: LogFields

  constructor(fields: LogFields = {}) {
    super()
    this.#fields = fields
  }

  override isLevelEnabled(): boolean {
    return true
  }

  override child(fields: LogFields): Logger {
    return new ThreadLogger({ ...this.#fields, ...fields })
  }

  protected override write(level: PortLevel, fields: LogFields, message: string): void {
    tell({ kind: 'log', level, fields: { ...this.#fields, ...fields }, message })
  }
}

const clock: Clock = { ...systemClock, now: () => sharedNowMs() - setup.startedMs }
const { limits, place } = setup
const logger = new ThreadLogger({ component: 'http', thread: place })
const ledger = new ConnectionLedger({ clock, logger, limits })
const connections = ledger.openPort('lookup', limits)
connections.others = new OpenCounts(setup.open).besides(place, limits.maxConnections)

const ring = new ThreadRing(
  new CurrentCopy(setup.current),
  new Sureness(clock, setup.sureness.bounds, setup.sureness.memory),
)
const meter = new ThreadTally(setup.tally.bounds, () => clock.now(), setup.tally.memory)
const lookUps = new FastLookUps({ ring, clock, limits, meter })
connections.fastLookUps = {
  answer: (bytes, length) => (ring.catchUp() ? lookUps.answer(bytes, length) : undefined),
}

const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  // Whatever is no plain look-up is for the HTTP server of the main thread.
  connections.open(socket, (client) => {
    client.once('data', (first: Buffer) => {
      connections.letGo(client)
      relay(client, first, setup.relay)
    })
  })
})

main.on('message', (message: ToThread) => {
  switch (message.kind) {
    case 'copy':
      ring.learn(message.copy)
      tell({ kind: 'has', number: message.copy.number })
      if (!server.listening) listen()
      break
    case 'ask': {
      const { closed, heldBytes } = ledger.counts()
      tell({ kind: 'here', counts: { closed, heldBytes } })
      break
    }
    case 'fewer':
      connections.allowFewer()
      break
    case 'more':
      connections.allowMore()
      break
    case 'close':
      server.close()
      connections.closeFastPath()
      // The thread ends with its last connection.
      main.close()
  }
})
tell({ kind: 'loaded' })

function listen(): void {
  const { host, port } = setup
  // Where this fails the thread ends, and the main one says so.
  server.listen({ host, port, reusePort: true, backlog: BACKLOG }, () => {
    server.on('error', (err) => logger.error({ event: 'server.failed', err }, 'Failed to take a connection'))
    tell({ kind: 'listening' })
  })
}
