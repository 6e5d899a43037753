import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { RingmanError } from '../../src/errors.ts'
import { DEFAULT_FOLD_WINDOW_MS } from '../../src/manager/hash-ring-manager.ts'
import type { Member, MemberState } from '../../src/membership/member.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import type { Claim } from '../../src/service/claims.ts'
import type { MovedEvent } from '../../src/service/ownership.ts'
import type { RingServiceDeps } from '../../src/service/ring-service.ts'
import { fakeMember, FakeSource } from '../support/fake-source.ts'
import { fullStatistics } from '../telemetry/full-statistics.ts'
import { codeOf } from '../support/error-code.ts'
import { startService } from './started-service.ts'

const NAMES = ['a', 'b', 'c', 'd', 'e']
const member = (name: string, options: { state?: MemberState; weight?: number } = {}) =>
  fakeMember(name, `10.0.0.${name.charCodeAt(0) - 96}`, options)
const SELF = '10.0.0.1:8000'

const started = (initial: readonly Member[], options: Partial<RingServiceDeps> = {}) =>
  startService(new FakeSource(initial, { selfName: 'a' }), options)

const reasonOf = (claim: Claim) => (claim.signal.reason as RingmanError | undefined)?.detail['reason']

/** What a test's set of members is: for each name its weight and state, or that it is not listed. */
const anySet = fc.tuple(
  ...NAMES.map((name) =>
    fc
      .record({
        listed: fc.boolean(),
        weight: fc.constantFrom(1, 1, 1, 3),
        state: fc.constantFrom('alive', 'alive', 'suspect', 'dead', 'left'),
      })
      .map(({ listed, weight, state }) => ({ name, listed: listed || name === 'a', weight, state })),
  ),
)
const KEYS = Array.from({ length: 40 }, (_, i) => `key-${i}`)

describe('claims and moves', () => {
  test('are those of an independent model, through any history of members', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anySet, { minLength: 1, maxLength: 8 }), async (sets) => {
        const { ownership, manager, become, service } = await started([member('a')])
        const claims: { readonly key: string; readonly claim: Claim; lostTo: string | undefined }[] = []
        const events: MovedEvent[] = []
        const ofB: MovedEvent[] = []
        ownership.onMoved((event) => events.push(event))
        ownership.onMoved((event) => ofB.push(event), 'b')
        for (const set of sets) {
          const before = manager.snapshot.ring
          const own = (key: string) => manager.snapshot.ring.ownerOf(key)?.ringKey === SELF
          for (const key of KEYS) {
            const isOwn = own(key)
            expect(codeOf(() => claims.push({ key, claim: ownership.claim(key), lostTo: undefined }))).toBe(
              isOwn ? 'none' : before.size === 0 ? 'RING_EMPTY' : 'NOT_OWNER',
            )
          }
          const listed = set.filter((each) => each.listed)
          const [seen, seenOfB] = [events.length, ofB.length]
          await become(listed.map(({ name, weight, state }) => member(name, { weight, state })))
          const { ring } = manager.snapshot
          // The model looks up each claimed key, one by one.
          for (const each of claims) {
            const owner = ring.ownerOf(each.key)?.ringKey ?? 'nobody'
            if (owner !== SELF) each.lostTo ??= owner
          }
          expect(claims.map(({ claim }) => claim.held)).toEqual(
            claims.map(({ lostTo }) => lostTo === undefined),
          )
          for (const [told, ringKey] of [
            [events.slice(seen), SELF],
            [ofB.slice(seenOfB), '10.0.0.2:8000'],
          ] as const) {
            const moved = KEYS.filter((key) => {
              const [from, to] = [before.ownerOf(key)?.ringKey, ring.ownerOf(key)?.ringKey]
              return from !== to && (from === ringKey || to === ringKey)
            })
            expect(told.length).toBeLessThanOrEqual(1)
            const [event] = told
            expect(
              KEYS.filter(
                (key) => event?.gained.contains(key) === true || event?.lost.contains(key) === true,
              ),
            ).toEqual(moved)
            if (event === undefined) continue
            expect(event.digests).toEqual({ before: before.digest, after: ring.digest })
            expect(event.gained.share - event.lost.share).toBe(
              (ring.shares().get(ringKey) ?? 0) - (before.shares().get(ringKey) ?? 0),
            )
          }
          expect(KEYS.filter((key) => ownership.owned().contains(key))).toEqual(KEYS.filter(own))
        }
        const owners = claims.map(
          ({ claim }) => (claim.signal.reason as RingmanError | undefined)?.detail['owner'],
        )
        expect(owners).toEqual(claims.map(({ lostTo }) => (lostTo === 'nobody' ? undefined : lostTo)))
        const held = claims.filter(({ lostTo }) => lostTo === undefined)
        expect(ownership.claimCount).toBe(held.length)
        await service.stop()
        expect(held.map(({ claim }) => reasonOf(claim))).toEqual(held.map(() => 'stopped'))
      }),
      { numRuns: 60 },
    )
  })

  test('a claim on the key of another member says whose it is', async () => {
    const { ownership, manager, service } = await started([member('a'), member('b')])
    const key = KEYS.find((each) => manager.getNode(each).ringKey !== SELF)!
    expect(() => ownership.claim(key)).toThrow(
      expect.objectContaining({
        code: 'NOT_OWNER',
        detail: { owner: '10.0.0.2:8000', name: 'b', address: '10.0.0.2', port: 8000 },
      }),
    )
    await service.stop()
    expect(codeOf(() => ownership.claim(key))).toBe('MANAGER_NOT_RUNNING')
  })

  test('a claim stays lost when its key comes back, and a new one can be made', async () => {
    const { ownership, manager, become } = await started([member('a')])
    const others = [member('a'), member('b')]
    const key = KEYS.find(
      (each) =>
        HashRing.of([
          { ringKey: SELF, weight: 1 },
          { ringKey: '10.0.0.2:8000', weight: 1 },
        ]).ownerOf(each)?.ringKey !== SELF,
    )!
    const [claim, unread] = [ownership.claim(key), ownership.claim(key)]
    const { signal } = claim
    await become(others)
    expect(signal.aborted).toBe(true)
    expect(signal.reason).toMatchObject({
      code: 'CLAIM_LOST',
      detail: { reason: 'moved', owner: '10.0.0.2:8000', name: 'b', address: '10.0.0.2', port: 8000 },
    })
    await become([member('a')])
    expect(manager.getNode(key).ringKey).toBe(SELF)
    expect([claim.held, unread.held, claim.signal, unread.signal.reason]).toEqual([
      false,
      false,
      signal,
      signal.reason,
    ])
    expect(ownership.claim(key).held).toBe(true)
  })

  test('leaving loses all claims to the others', async () => {
    const { ownership, service, clock } = await started([member('a'), member('b')])
    const claims = KEYS.flatMap((key) => (ownership.owned().contains(key) ? [ownership.claim(key)] : []))
    const events: MovedEvent[] = []
    ownership.onMoved((event) => events.push(event))
    await clock.during(DEFAULT_FOLD_WINDOW_MS, service.leave())
    expect(claims.length).toBeGreaterThan(5)
    expect(new Set(claims.map(reasonOf))).toEqual(new Set(['moved']))
    expect(events.map(({ cause, gained, epoch }) => [cause, gained.count, epoch])).toEqual([['left', 0, 2]])
  })

  test('a source that dies takes the claims with it', async () => {
    const { ownership, service, source } = await started([member('a')])
    const claim = ownership.claim('key')
    source.die(new Error('the loop died'))
    await expect(service.done).rejects.toThrow('the loop died')
    expect(reasonOf(claim)).toBe('stopped')
  })

  test('another ring key of this member loses what was claimed under the one before', async () => {
    const { ownership, become } = await started([member('a')])
    const before = ownership.claim('key')
    await become([fakeMember('a', '10.9.9.9')])
    expect([before.held, reasonOf(before)]).toEqual([false, 'moved'])
    const after = ownership.claim('key')
    await become([fakeMember('a', '10.9.9.9', { zone: 'z' })])
    expect(after.held).toBe(true)
  })

  test('being off the rings of the others loses all claims, and tells of it although nothing moved', async () => {
    const { ownership, clock, source } = await started([member('a'), member('b')])
    await clock.advance(20_000)
    const key = KEYS.find((each) => ownership.owned().contains(each))!
    const claim = ownership.claim(key)
    const events: MovedEvent[] = []
    const ofB: MovedEvent[] = []
    ownership.onMoved((event) => events.push(event))
    ownership.onMoved((event) => ofB.push(event), 'b')
    const { gossip } = fullStatistics('memberlist')
    source.statisticsNow = { gossip: { ...gossip!, heldDead: 1 } }
    await clock.advance(250)
    expect(reasonOf(claim)).toBe('was-off-ring')
    expect(events.map(({ cause, gained, lost }) => [cause, gained.count, lost.count])).toEqual([
      ['was-off-ring', 0, 0],
    ])
    expect(ofB).toEqual([])
    expect(ownership.claim(key).held).toBe(true)
  })
})

describe('a member that hears nobody', () => {
  const others = [member('a'), member('b')]

  test('is unsure after the bound, and loses its claims', async () => {
    const { ownership, clock, source, service } = await started(others, { maxSilenceMs: 5000 })
    const key = KEYS.find((each) => ownership.owned().contains(each))!
    source.statisticsNow = { staleMs: 100 }
    const claim = ownership.claim(key)
    await clock.advance(4000)
    source.statisticsNow = { staleMs: 5000 }
    expect([service.unsure, claim.held]).toEqual([false, true])
    source.statisticsNow = { staleMs: 5001 }
    await clock.advance(5300)
    expect([service.unsure, reasonOf(claim)]).toEqual([true, 'unsure'])
    expect(service.health()).toMatchObject({ condition: 'unsure', ok: false })
    expect(codeOf(() => ownership.claim(key))).toBe('UNSURE')
    source.statisticsNow = { staleMs: 0 }
    expect([service.unsure, ownership.claim(key).held]).toEqual([false, true])
  })

  test('goes on being unsure when it holds all the others for dead: it cannot tell who is cut off', async () => {
    const { ownership, clock, become, service } = await started(others, { maxSilenceMs: 5000 })
    await become([member('a'), member('b', { state: 'dead' })])
    await clock.advance(4900)
    const claim = ownership.claim('key')
    await clock.advance(500)
    expect([service.unsure, claim.held]).toEqual([true, false])
    // Forgotten, after the time for which the dead are kept: it is the only one there is.
    await become([member('a')])
    expect(service.unsure).toBe(false)
  })

  test('is sure as the only one there is, or once the others have left', async () => {
    for (const alone of [[member('a')], [member('a'), member('b', { state: 'left' as const })]]) {
      const { ownership, clock, service } = await started(alone, { maxSilenceMs: 1000 })
      const claim = ownership.claim('key')
      await clock.advance(60_000)
      expect([service.unsure, claim.held]).toEqual([false, true])
    }
  })

  test('is not asked without a bound', async () => {
    const { clock, service, source } = await started(others)
    source.statisticsNow = { staleMs: 1e9 }
    await clock.advance(60_000)
    expect(service.unsure).toBe(false)
  })
})

test('a stall over the bound loses the claims', async () => {
  const { ownership, clock } = await started([member('a')], { unsureAfterMs: 1000 })
  const claim = ownership.claim('key')
  clock.stall(3000)
  expect(codeOf(() => ownership.claim('key'))).toBe('UNSURE')
  await clock.advance(250)
  expect([reasonOf(claim), codeOf(() => ownership.claim('key'))]).toEqual(['unsure', 'UNSURE'])
  await clock.advance(2250)
  expect(ownership.claim('key').held).toBe(true)
})

test('checks say whose ring is older, and are counted', async () => {
  const { ownership, manager, become } = await started([member('a')])
  const first = manager.snapshot.ring.digest
  await become([member('a'), member('b')])
  const { digest } = manager.snapshot.ring
  const [own, others] = [SELF, '10.0.0.2:8000'].map((ringKey) =>
    KEYS.find((key) => manager.getNode(key).ringKey === ringKey),
  ) as [string, string]
  const state = { digest, epoch: 2 }
  const newer = '0123456789abcdef'
  const verdicts = [
    [own, digest, 'mine'],
    [others, digest, 'not-mine'],
    [others, [digest, newer], 'not-mine'],
    [own, first, 'you-are-behind'],
    [others, [first], 'you-are-behind'],
    [own, [newer, digest], 'i-am-behind'],
    [others, newer, 'unknown'],
  ] as const
  for (const [key, digests, verdict] of verdicts) {
    const owner = manager.getNode(key)
    expect(ownership.check(key, digests)).toEqual({ ...state, verdict, mine: key === own, owner })
  }
  expect(ownership.checks).toEqual({
    mine: 1,
    'not-mine': 2,
    'you-are-behind': 2,
    'i-am-behind': 1,
    unknown: 1,
  })
})
