/** Drives the TypeScript client for the conformance kit; README.md describes what it reads and prints. */
import { createInterface } from 'node:readline'
import { HashRing, isRingmanError, RingClient, type RingClientChange } from '../src/client/index.ts'
import type { DriverAnswer, DriverKey, DriverRequest } from './driver.ts'

let client: RingClient | undefined
let changes: AsyncIterator<RingClientChange> | undefined
/** A read of `changes` that has not come to an end. */
let pending: Promise<IteratorResult<RingClientChange>> | undefined

const keyOf = (key: DriverKey) => ('text' in key ? key.text : Buffer.from(key.hex, 'hex'))

async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let timer
  const over = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined)
  })
  const first = await Promise.race([work, over])
  clearTimeout(timer)
  return first
}

async function answer(request: DriverRequest): Promise<DriverAnswer> {
  if (request.op === 'open') {
    const { op: _, ...options } = request
    client = new RingClient(options)
    return {}
  }
  if (request.op === 'moved') {
    const moved = HashRing.of(request.from).movedTo(HashRing.of(request.to))
    const stretches = Array.from(
      moved,
      ({ start, end, from, to }) => [start, end, from?.ringKey ?? null, to?.ringKey ?? null] as const,
    )
    return { share: moved.share, stretches }
  }
  if (request.op === 'close') {
    await client?.close()
    pending = undefined
    return {}
  }
  if (client === undefined) throw new Error('no client is open')
  switch (request.op) {
    case 'ready': {
      const ready = await within(
        request.timeoutMs,
        client.ready().then(
          () => true,
          () => false,
        ),
      )
      return { ready: ready === true }
    }
    case 'owner':
      return { node: client.owner(keyOf(request.key)) }
    case 'owners': {
      const { keys, n } = request
      const opened = client
      return { owners: keys.map((key) => opened.owners(keyOf(key), n).map(({ ringKey }) => ringKey)) }
    }
    case 'state': {
      const { digest = null, ageMs, stale } = client
      return { digest, ageMs: ageMs === Infinity ? null : ageMs, stale }
    }
    case 'shares':
      return { shares: Object.fromEntries(client.shares()) }
    case 'changes':
      changes = client.changes()[Symbol.asyncIterator]()
      return {}
    case 'change': {
      pending ??= changes?.next()
      const result = await within(request.timeoutMs, pending!)
      if (result === undefined || result.done === true) return { timeout: true }
      pending = undefined
      return { digest: result.value.ring.digest, share: result.value.moved.share }
    }
    case 'plan': {
      const { after, movedShare, moves } = client.plan(request)
      return { after, movedShare, moves }
    }
    default:
      return { unsupported: true }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  let given: DriverAnswer
  try {
    given = await answer(JSON.parse(line) as DriverRequest)
  } catch (error) {
    if (!isRingmanError(error)) throw error
    given = { error: error.code }
  }
  console.log(JSON.stringify(given))
}
await client?.close()
