import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { outcomeTable, runAttack, type Slowness } from './attack-suite.ts'
import { AttackedCluster } from './attacked-cluster.ts'
import { GOSSIP_ATTACKS } from './gossip-attacks.ts'

/** Bytes that a member may send to an address that asked nothing, beyond those that it was sent: a small bucket each. */
const REFLECTED_ALLOWANCE_BYTES = 3 * 4096

let folder: string
let cluster: AttackedCluster

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ringman-adversary-'))
})

afterAll(async () => {
  console.log(outcomeTable())
  await rm(folder, { recursive: true, force: true })
})

/** A newcomer joins while the attack runs: it is on everybody's ring in time, and leaves again. */
async function joinMeanwhile(slowness: Slowness): Promise<void> {
  await new Promise((wake) => setTimeout(wake, 2000))
  await using newcomer = cluster.newMember('newcomer', 8099)
  await newcomer.ready()
  const [first] = cluster.members
  const startedMs = performance.now()
  for (;;) {
    const { members } = (await first?.ask<{ members: { name: string; state: string }[] }>('/v1/members')) ?? {
      members: [],
    }
    if (members.some(({ name, state }) => name === 'newcomer' && state === 'alive')) break
    const waitedMs = performance.now() - startedMs
    expect(waitedMs, 'the newcomer has not joined').toBeLessThan(10_000 * slowness.ofClock)
    await new Promise((wake) => setTimeout(wake, 100))
  }
  newcomer.process.signal('SIGTERM')
  await newcomer.process.ended
}

const withoutFailures = async (attack: string) => {
  const outcome = await runAttack(cluster, attack, joinMeanwhile)
  for (const { member, failed, firstFailure } of outcome.clients) {
    expect(failed, `${member}: ${firstFailure}`).toBe(0)
  }
  return outcome
}

describe('a ring without keys', () => {
  beforeAll(async () => {
    cluster = new AttackedCluster([])
    await cluster.start(3)
  })

  afterAll(async () => {
    await cluster[Symbol.asyncDispose]()
  })

  test('reflector', async () => {
    const { told } = await withoutFailures('reflector')
    const { sent, reflected } = JSON.parse(told) as { sent: number; reflected: number }
    expect(reflected).toBeLessThanOrEqual(sent + REFLECTED_ALLOWANCE_BYTES)
  })

  test.for(Object.keys(GOSSIP_ATTACKS).filter((name) => name !== 'reflector' && name !== 'half-sent-frames'))(
    '%s',
    async (attack) => {
      await withoutFailures(attack)
    },
  )
})

describe('a ring with keys, attacked without one', () => {
  beforeAll(async () => {
    const keyring = join(folder, 'keyring')
    await writeFile(keyring, `${Buffer.alloc(32, 7).toString('base64')}\n`)
    cluster = new AttackedCluster(['--keyring-file', keyring])
    await cluster.start(3)
  })

  afterAll(async () => {
    await cluster[Symbol.asyncDispose]()
  })

  test.for(['reflector', 'invented-members', 'name-theft', 'half-sent-streams', 'half-sent-frames', 'noise'])(
    '%s',
    async (attack) => {
      const { told } = await withoutFailures(attack)
      if (attack === 'reflector') expect(JSON.parse(told)).toMatchObject({ reflected: 0 })
    },
  )
})
