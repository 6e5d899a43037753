import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cacheLoad } from '../../../lab/fleet/cache-load.ts'
import { Fleet, type Instance } from '../../../lab/fleet/fleet.ts'
import type { Load } from '../../../lab/fleet/load.ts'
import type { Owners } from '../../../lab/fleet/owners.ts'
import { PlannedChanges } from '../../../lab/fleet/planned.ts'

const INSTANCES = 10
const KEYS = Array.from({ length: 500 }, (_, n) => `key${n}`)

let fleet: Fleet
let load: Load

beforeAll(async () => {
  fleet = new Fleet('sharded-cache', { DRAIN_MS: '2500' })
  for (let n = 0; n < INSTANCES; n++) await fleet.start()
  await fleet.settled()
  load = cacheLoad(fleet, { keys: KEYS, perSecond: 80, seed: 14 })
  await load.more(KEYS.length)
})

afterAll(async () => {
  await load?.end()
  await fleet[Symbol.asyncDispose]()
})

/** Every key is answered by its owner, and by nobody else. */
async function expectOwners(): Promise<void> {
  await fleet.settled()
  const from = load.answers.length
  await load.more(KEYS.length / 4)
  const { ring } = fleet
  for (const { key, by, isOwner } of load.answers.slice(from + 100)) {
    expect({ key, by, isOwner }).toEqual({ key, by: ring.ownerOf(key)?.ringKey, isOwner: true })
  }
  expect(load.failures).toEqual([])
}

describe('ten instances under load', () => {
  async function changeAsPlanned(change: (changes: PlannedChanges) => Promise<void>): Promise<void> {
    const changes = new PlannedChanges(fleet, load, KEYS)
    await change(changes)
    await expectOwners()
    for (const { owners } of changes.steps) {
      expect(owners, fleet.history).toMatchObject({
        doubleAnswers: 0,
        strangers: [],
      } satisfies Partial<Owners>)
      expect(owners.movedKeys).toBeGreaterThan(0)
    }
    expect(load.resent).toBe(0)
  }

  test('lose no request when all are restarted one by one', async () => {
    await changeAsPlanned(async (changes) => {
      for (const instance of [...fleet.living]) {
        await changes.join()
        await changes.leave(instance)
      }
    })
  })

  test('lose none when they become five, and ten again', async () => {
    await changeAsPlanned(async (changes) => {
      for (const instance of fleet.living.slice(INSTANCES / 2)) await changes.leave(instance)
    })
    await changeAsPlanned(async (changes) => {
      while (fleet.living.length < INSTANCES) await changes.join()
    })
  })

  test('lose none whose clients ask again, when one is killed', async () => {
    load.patienceMs = 5000
    const [victim] = fleet.living as [Instance]
    fleet.kill(victim)
    await load.more(100)
    fleet.rotate(victim, false)
    await expectOwners()
  })

  test('lose none whose clients ask again, when one stands still and goes on', async () => {
    load.patienceMs = 5000
    const [frozen] = fleet.living as [Instance]
    frozen.process.signal('SIGSTOP')
    await fleet.settled([frozen])
    fleet.rotate(frozen, false)
    await load.more(100)
    frozen.process.signal('SIGCONT')
    fleet.rotate(frozen, true)
    await expectOwners()
  })
})
