import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Conversations } from '../../../lab/fleet/conversations.ts'
import { Fleet, type Instance } from '../../../lab/fleet/fleet.ts'
import type { Owners } from '../../../lab/fleet/owners.ts'
import { PlannedChanges } from '../../../lab/fleet/planned.ts'

const INSTANCES = 10
const ROOMS = Array.from({ length: 40 }, (_, n) => `room${n}`)

let fleet: Fleet
let conversations: Conversations

beforeAll(async () => {
  fleet = new Fleet('rooms', { DRAIN_MS: '2500' })
  for (let n = 0; n < INSTANCES; n++) await fleet.start()
  await fleet.settled()
  conversations = new Conversations({ fleet, rooms: ROOMS, clients: 2, pauseMs: 500 })
  await conversations.more(5 * ROOMS.length)
})

afterAll(async () => {
  await conversations?.end()
  await fleet[Symbol.asyncDispose]()
})

/** Everybody is heard, in rooms that their owners hold open. */
async function expectOwners(): Promise<void> {
  await fleet.settled()
  await conversations.more(5 * ROOMS.length)
  const from = conversations.answers.length
  await conversations.more(5 * ROOMS.length)
  for (const { key, by } of conversations.answers.slice(from)) {
    expect({ key, by }).toEqual({ key, by: fleet.ring.ownerOf(key)?.ringKey })
  }
  expect(conversations.failures).toEqual([])
}

describe('rooms at ten instances', () => {
  async function changeAsPlanned(change: (changes: PlannedChanges) => Promise<void>): Promise<void> {
    const changes = new PlannedChanges(fleet, conversations, ROOMS)
    const before = conversations.beginnings
    await change(changes)
    await expectOwners()
    // All go on where they were: none was lost, and none was open twice.
    expect(conversations.beginnings).toEqual(before)
    expect(conversations.gaps).toEqual([])
    for (const { owners } of changes.steps) {
      expect(owners, fleet.history).toMatchObject({
        doubleAnswers: 0,
        strangers: [],
      } satisfies Partial<Owners>)
    }
  }

  test('go on when all instances are restarted one by one', async () => {
    await changeAsPlanned(async (changes) => {
      for (const instance of [...fleet.living]) {
        await changes.join()
        await changes.leave(instance)
      }
    })
  })

  test('go on when there are five instances, and ten again', async () => {
    await changeAsPlanned(async (changes) => {
      for (const instance of fleet.living.slice(INSTANCES / 2)) await changes.leave(instance)
    })
    await changeAsPlanned(async (changes) => {
      while (fleet.living.length < INSTANCES) await changes.join()
    })
  })

  test('open again elsewhere when an instance is killed, and those of others go on', async () => {
    const { beginnings } = conversations
    const [victim] = fleet.living as [Instance]
    const { ring } = fleet
    fleet.kill(victim)
    await conversations.more(100)
    fleet.rotate(victim, false)
    await expectOwners()
    for (const room of ROOMS) {
      const isLost = ring.ownerOf(room)?.ringKey === victim.ringKey
      const begun = conversations.beginnings[room]?.length ?? 0
      expect({ room, again: begun - (beginnings[room]?.length ?? 0) }).toEqual({
        room,
        again: isLost ? 1 : 0,
      })
    }
  })

  test('are where they should be when an instance stood still and goes on', async () => {
    const [frozen] = fleet.living as [Instance]
    frozen.process.signal('SIGSTOP')
    await fleet.settled([frozen])
    fleet.rotate(frozen, false)
    await conversations.more(5 * ROOMS.length)
    frozen.process.signal('SIGCONT')
    fleet.rotate(frozen, true)
    await expectOwners()
  })
})
