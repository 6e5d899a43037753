/**
 * What EndpointSlices of Services that no ring names cost a process with one ring: the memory that is held once all are listed,
 * and the processor time of an event of one of them. Prints JSON.
 *
 * node --expose-gc bench/hash-rings/foreign.ts SLICES
 */
import { setTimeout as wait } from 'node:timers/promises'
import { nextChange, ringsOf, startStandIn } from './stand-in.ts'

/** What one run found. */
export interface ForeignCost {
  readonly heapMb: number
  readonly residentMb: number
  readonly eventMs: number
}

const EVENTS = 2000
/** Slices that change, however many there are. */
const CHANGING = 100

const foreign = Number(process.argv[2] ?? 0)
const server = await startStandIn({ small: 1, large: 0, foreign })
const controller = ringsOf(server.client)
controller.start()
while (!controller.readiness.ok) await wait(10)

/** Has slices change that nobody follows, and waits until the process has been told of all of them. */
async function events(count: number, from: number): Promise<void> {
  for (let i = 0; i < count; i++) server.change(`foreign-${i % CHANGING}`, from + i)
  // Events come in order: behind them comes one of the ring.
  const changed = nextChange(controller, 'small-0')
  server.change('small-0', from)
  await changed
}

// The first ones are slower, and what was garbage of the list is gone by then.
await events(EVENTS, 1)
await wait(1000)
for (let i = 0; i < 3; i++) globalThis.gc?.()
const { rss, heapUsed } = process.memoryUsage()
const before = process.cpuUsage()
await events(EVENTS, 2)
const { user, system } = process.cpuUsage(before)
const cost: ForeignCost = {
  heapMb: heapUsed / 2 ** 20,
  residentMb: rss / 2 ** 20,
  eventMs: (user + system) / 1000 / EVENTS,
}
console.log(JSON.stringify(cost))
await controller.stop()
server.stop()
