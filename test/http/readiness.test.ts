import { describe, expect, test } from 'vitest'
import { Readiness, type ReadinessReport } from '../../src/http/readiness.ts'
import { CONDITIONS, healthIn, type Condition } from '../../src/membership/condition.ts'
import { fakeMember } from '../support/fake-source.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { makeRing, THREE_MEMBERS } from './running-ring.ts'

function setUp(
  options: { readonly minMembers?: number; readonly selfName?: string; readonly members?: number } = {},
) {
  const clock = new VirtualClock()
  const { ring, source } = makeRing({
    clock,
    members: THREE_MEMBERS.slice(0, options.members ?? 3),
    ...(options.selfName === undefined ? {} : { selfName: options.selfName }),
  })
  const readiness = new Readiness({
    ring,
    clock,
    minMembers: options.minMembers ?? 1,
    minMembersTimeoutMs: 30_000,
  })
  const start = () => clock.during(0, ring.start())
  return { clock, ring, source, readiness, start }
}

/** Names of the checks that fail. */
function failed({ checks }: ReadinessReport): string[] {
  return checks.filter(({ ok }) => !ok).map(({ name }) => name)
}

describe('Readiness', () => {
  test('is ready when everything holds, and says so of each check', async () => {
    const { readiness, start } = setUp({ selfName: 'node1' })
    await start()
    const report = await readiness.evaluate()
    expect(report.ready).toBe(true)
    expect(report.checks.map(({ name }) => name)).toEqual([
      'manager',
      'source',
      'self',
      'members',
      'draining',
    ])
    for (const { ok, message } of report.checks) {
      expect(ok).toBe(true)
      expect(message).toMatch(/^[A-Z].*\.$/)
    }
  })

  test('is not ready before the ring has started', async () => {
    const { readiness } = setUp({ selfName: 'node1' })
    const report = await readiness.evaluate()
    expect(report.ready).toBe(false)
    expect(failed(report)).toEqual(['manager', 'source', 'self', 'members'])
  })

  test('is not ready while the manager does not answer', async () => {
    const { clock, ring, readiness, start } = setUp()
    await start()
    // Nobody takes what is in the mailbox: the ping waits behind it.
    ring.manager.ping = () =>
      new Promise((resolve) => {
        clock.after(5, () => {
          resolve(false)
        })
      })
    const report = await clock.during(5, readiness.evaluate())
    expect(failed(report)).toEqual(['manager'])
    expect(report.checks[0]?.message).toContain('5 ms')
  })

  test('is not ready while this member is not on the ring', async () => {
    const { readiness, start } = setUp({ selfName: 'node4' })
    await start()
    expect(failed(await readiness.evaluate())).toEqual(['self'])
  })

  test('needs no place on the ring when it only watches', async () => {
    const { readiness, start } = setUp()
    await start()
    expect((await readiness.evaluate()).ready).toBe(true)
  })

  test('waits for enough members, but not for ever', async () => {
    const { clock, readiness, start } = setUp({ minMembers: 5 })
    await start()
    const early = await readiness.evaluate()
    expect(failed(early)).toEqual(['members'])
    expect(early.checks[3]?.message).toContain('3 of at least 5')
    await clock.advance(29_999)
    expect((await readiness.evaluate()).ready).toBe(false)
    await clock.advance(1)
    expect((await readiness.evaluate()).ready).toBe(true)
  })

  test('counts the living, and stays ready when they go', async () => {
    const { clock, source, readiness, start } = setUp({ minMembers: 3, members: 2 })
    await start()
    source.set([...THREE_MEMBERS.slice(0, 2), fakeMember('node9', '127.0.0.9', { state: 'dead' })])
    await clock.advance(0)
    expect(failed(await readiness.evaluate())).toEqual(['members'])
    source.set(THREE_MEMBERS)
    const early = await readiness.evaluate()
    expect(failed(early)).toEqual(['members'])
    expect(early.checks[3]?.message).toBe(
      'There are 3 of at least 3 members, and not all of them are on the ring yet.',
    )
    await clock.advance(0)
    expect((await readiness.evaluate()).ready).toBe(true)
    source.set(THREE_MEMBERS.slice(0, 1))
    await clock.advance(0)
    const later = await readiness.evaluate()
    expect(later.ready).toBe(true)
    expect(later.checks[3]?.message).toBe(
      'There is 1 of at least 3 members now, but there were enough before.',
    )
  })

  test('settles when it is ready, or when nobody waits any more', async () => {
    const { clock, readiness, start } = setUp({ minMembers: 5 })
    await start()
    const over = new AbortController()
    const settled = readiness.settled()
    const given = readiness.settled(over.signal)
    const order: string[] = []
    void settled.then(() => order.push('settled'))
    void given.then(() => order.push('given up'))
    await clock.advance(20_000)
    expect(order).toEqual([])
    over.abort()
    await clock.advance(0)
    expect(order).toEqual(['given up'])
    await clock.advance(10_050)
    expect(order).toEqual(['given up', 'settled'])
    expect(await settled).toBe(false)
    expect(await readiness.settled()).toBe(false)
  })

  test('says of enough members that they were seen, also when they have gone again', async () => {
    const { clock, readiness, source, start } = setUp({ minMembers: 3 })
    await start()
    source.set(THREE_MEMBERS)
    await clock.advance(0)
    expect(await readiness.settled()).toBe(true)
    source.set(THREE_MEMBERS.slice(0, 1))
    await clock.advance(0)
    expect(await readiness.settled()).toBe(true)
  })

  test.each(['leaves', 'stops', 'dies'])('does not settle when the ring %s first', async (how) => {
    const { clock, ring, source, readiness, start } = setUp({ minMembers: 5 })
    await start()
    const settled = readiness.settled().catch((error: unknown) => error)
    await clock.advance(10)
    if (how === 'leaves') void ring.leave()
    else if (how === 'stops') await ring.stop()
    else source.die(new Error('the loop died'))
    await clock.advance(100)
    expect(await settled).toMatchObject(
      how === 'dies' ? { message: 'the loop died' } : { code: 'MANAGER_NOT_RUNNING' },
    )
  })

  test('is not ready once the ring leaves, or has stopped', async () => {
    const { clock, ring, readiness, start } = setUp({ selfName: 'node1' })
    await start()
    await clock.during(0, ring.leave())
    expect(failed(await readiness.evaluate())).toEqual(['self', 'draining'])
    await ring.stop()
    expect(failed(await readiness.evaluate())).toContain('source')
  })

  test('repeats what the source says of its health, without failing for it', async () => {
    const { source, readiness, start } = setUp()
    await start()
    source.healthNow = healthIn('alone', 'Alone against its wish')
    const report = await readiness.evaluate()
    expect(report.ready).toBe(true)
    expect(report.checks[1]?.message).toContain('Alone against its wish')
  })

  test.each(Object.keys(CONDITIONS) as Condition[])(
    'obeys the table in the condition %s',
    async (condition) => {
      const { source, readiness, start } = setUp()
      await start()
      source.healthNow = healthIn(condition, 'So it is')
      const { readiness: effect } = CONDITIONS[condition]
      const failing = (effects: readonly string[]) =>
        !effects.includes(effect) ? [] : [condition === 'draining' ? 'draining' : 'source']
      expect(failed(await readiness.evaluate())).toEqual(failing(['denied', 'kept']))
      source.healthNow = healthIn('well', 'All is well')
      expect((await readiness.evaluate()).ready).toBe(true)
      source.healthNow = healthIn(condition, 'So it is')
      expect(failed(await readiness.evaluate())).toEqual(failing(['denied']))
    },
  )
})
