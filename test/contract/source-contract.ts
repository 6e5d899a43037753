import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Distribution } from '../../src/distribution.ts'
import { isRingmanError, type ErrorCode } from '../../src/errors.ts'
import type { Member, MemberState } from '../../src/membership/member.ts'
import type { MembershipSource } from '../../src/membership/source.ts'

/**
 * What the contract needs to know of a source: how to make one, how to change the world that it sees, and how
 * time passes. Leave out what the source has no notion of; the cases that need it are then left out too.
 */
export interface SourceHarness {
  /**
   * A new source, not started. Called once or more per test; a name given by `addMember` never clashes with it.
   */
  create(): MembershipSource
  /** The name under which a source lists what was added as `added`. @default the same */
  nameOf?(added: string): string
  /** Makes one more member appear to the sources that were started. */
  addMember?(name: string): Promise<void>
  /** Lets a member that was added go in an orderly way: it is to become `left`, `dead` or unlisted. */
  removeMember?(name: string): Promise<void>
  /** Takes a member that was added away without a word: it is to become `dead` or unlisted. */
  killMember?(name: string): Promise<void>
  /** The state in which an added member sees `source`, undefined if it does not list it. */
  seenByMember?(name: string, source: MembershipSource): MemberState | undefined
  /** Moves the virtual clock, or really waits. */
  advance(ms: number): Promise<void>
  /** Sockets, requests and timers of all created sources that are not released. */
  openResources(): number
  /** How long the world may take to follow, in milliseconds. @default 10_000 */
  readonly patienceMs?: number
  /** Stops everything that the harness made, sources included. */
  close(): Promise<void>
}

const live = (state: MemberState | undefined) => state === 'alive' || state === 'suspect'

/** What a source has counted, flat; what may also fall is left out. */
function countsOf(source: MembershipSource): Record<string, number> {
  const { gossip, sidecar, kubernetes, joins } = source.statistics?.() ?? {}
  const counts: Record<string, number> = {}
  const walk = (value: unknown, path: string) => {
    if (/ (bounds|healthScore|queueDepth|udpBlockedMembers|skippedInstances)$/.test(path)) return
    if (typeof value === 'number') counts[path] = value
    else if (typeof value === 'object' && value !== null) {
      // Counts of a distribution are read through getters.
      const parts =
        value instanceof Distribution ? { counts: value.counts, sum: value.sum, count: value.count } : value
      for (const [key, part] of Object.entries(parts)) walk(part, `${path} ${key}`)
    }
  }
  walk({ gossip, sidecar, kubernetes, joins }, '')
  return counts
}

/**
 * The one suite that every {@link MembershipSource} passes: each promise of the port's docstring is a test.
 *
 * @param makeHarness - Called before each test; `capabilities` decides which optional cases there are.
 */
export function describeSourceContract(
  name: string,
  makeHarness: () => SourceHarness | Promise<SourceHarness>,
  capabilities: {
    /** The source makes this process a member (it has a `selfName`). */
    readonly self: boolean
    /** `addMember` is there. */
    readonly add: boolean
    readonly remove: boolean
    readonly kill: boolean
    /** `seenByMember` is there. */
    readonly seen: boolean
  },
): void {
  describe(`${name} keeps the promises of a membership source`, () => {
    let harness: SourceHarness

    beforeEach(async () => {
      harness = await makeHarness()
    })

    afterEach(async () => {
      await harness.close()
    })

    const start = (source: MembershipSource) => source.start(new AbortController().signal)

    async function eventually(check: () => boolean, what: string): Promise<void> {
      const stepMs = 20
      for (let waitedMs = 0; !check(); waitedMs += stepMs) {
        if (waitedMs > (harness.patienceMs ?? 10_000)) expect.fail(`never came about: ${what}`)
        await harness.advance(stepMs)
      }
    }

    const nameOf = (added: string) => harness.nameOf?.(added) ?? added

    const stateOf = (source: MembershipSource, member: string) =>
      source.members.find(({ name: candidate }) => candidate === member || candidate === nameOf(member))
        ?.state

    describe('start', () => {
      test('there are no members before it, and health can be asked', () => {
        const source = harness.create()
        expect(source.members).toEqual([])
        expect(source.health().message).not.toBe('')
      })

      test('statistics can be asked before it, after it and after the stop, and never fall', async () => {
        const source = harness.create()
        let before: Readonly<Record<string, number>> = {}
        const look = () => {
          const now = countsOf(source)
          for (const [path, count] of Object.entries(before)) {
            expect(now[path], path).toBeGreaterThanOrEqual(count)
          }
          before = now
        }
        look()
        await start(source)
        look()
        if (capabilities.add) {
          await harness.addMember?.('counted')
          await eventually(() => live(stateOf(source, 'counted')), 'counted is live')
        }
        look()
        await source.stop()
        look()
        expect(Object.values(before).every((count) => Number.isFinite(count) && count >= 0)).toBe(true)
      })

      test('there are members when it resolves, and not before', async () => {
        const source = harness.create()
        const started = start(source)
        expect(source.members).toEqual([])
        await started
        if (capabilities.self) {
          expect(source.selfName).toBeDefined()
          expect(source.members.map((member) => member.name)).toContain(source.selfName)
          expect(stateOf(source, source.selfName ?? '')).toBe('alive')
        } else {
          expect(source.selfName).toBeUndefined()
        }
      })

      test('a listener from before it sees only populated sets', async () => {
        const source = harness.create()
        const sets: (readonly Member[])[] = []
        source.subscribe((members) => sets.push(members))
        await start(source)
        if (source.members.length > 0) expect(sets.length).toBeGreaterThan(0)
        for (const set of sets) expect(set.length).toBeGreaterThan(0)
        if (sets.length > 0) expect(sets.at(-1)).toBe(source.members)
      })

      test('a second one is refused while it runs', async () => {
        const source = harness.create()
        await start(source)
        const before = source.members
        await expectCode('SOURCE_FAILED', start(source))
        expect(source.members).toBe(before)
      })

      test('an aborted signal refuses it', async () => {
        const source = harness.create()
        await expectCode('SOURCE_FAILED', source.start(AbortSignal.abort()))
        expect(source.members).toEqual([])
        await source.stop()
        expect(harness.openResources()).toBe(0)
      })

      test('a signal that aborts meanwhile ends it', async () => {
        const source = harness.create()
        const abort = new AbortController()
        const started = source.start(abort.signal)
        abort.abort()
        await expectCode('SOURCE_FAILED', started)
        expect(source.members).toEqual([])
        await source.stop()
        expect(harness.openResources()).toBe(0)
      })

      test('a signal that aborts afterwards does not matter', async () => {
        const source = harness.create()
        const abort = new AbortController()
        await source.start(abort.signal)
        const before = source.members
        abort.abort()
        await harness.advance(50)
        expect(source.members).toEqual(before)
        if (capabilities.add) {
          await harness.addMember?.('late')
          await eventually(() => live(stateOf(source, 'late')), 'the source follows')
        }
      })
    })

    describe('publishing', () => {
      test('sets are frozen, sorted by name and free of doubles', async () => {
        const source = harness.create()
        const sets: (readonly Member[])[] = []
        source.subscribe((members) => sets.push(members))
        await start(source)
        if (capabilities.add) {
          for (const added of ['m2', 'M1', 'm10']) await harness.addMember?.(added)
          await eventually(
            () => ['m2', 'M1', 'm10'].every((added) => live(stateOf(source, added))),
            'the added members are seen',
          )
        }
        for (const set of [...sets, source.members]) {
          expect(Object.isFrozen(set)).toBe(true)
          const names = set.map((member) => member.name)
          expect(names).toEqual([...new Set(names)].sort())
        }
      })

      test('a subscription ends when asked', async () => {
        const source = harness.create()
        let calls = 0
        const unsubscribe = source.subscribe(() => calls++)
        unsubscribe()
        unsubscribe()
        await start(source)
        expect(calls).toBe(0)
      })

      test('the same function subscribed twice is called twice', async () => {
        const source = harness.create()
        const sets: (readonly Member[])[] = []
        const listener = (members: readonly Member[]) => sets.push(members)
        source.subscribe(listener)
        const unsubscribe = source.subscribe(listener)
        await start(source)
        const published = sets.length
        expect(published % 2).toBe(0)
        unsubscribe()
        await source.leave()
        if (capabilities.self) expect(sets.length).toBeGreaterThan(published)
        const distinct = new Set(sets.slice(published))
        expect(distinct.size).toBe(sets.length - published)
      })

      test('a listener that throws keeps neither others from being called nor the source from going on', async () => {
        const source = harness.create()
        const seen: (readonly Member[])[] = []
        source.subscribe((members) => seen.push(members))
        source.subscribe(() => {
          throw new Error('a listener that throws')
        })
        source.subscribe((members) => seen.push(members))
        await start(source)
        await harness.advance(20)
        expect(seen.length).toBeGreaterThanOrEqual(2)
        expect(seen.length % 2).toBe(0)
        await source.stop()
        await source.done
      })

      testWhere(capabilities.add)(
        'each change is a new array, in place before listeners hear of it',
        async () => {
          const source = harness.create()
          await start(source)
          const sets: (readonly Member[])[] = [source.members]
          const inPlace: boolean[] = []
          source.subscribe((members) => {
            inPlace.push(source.members === members)
            sets.push(members)
          })
          await harness.addMember?.('one')
          await eventually(() => live(stateOf(source, 'one')), 'the first member is seen')
          await harness.addMember?.('two')
          await eventually(() => live(stateOf(source, 'two')), 'the second member is seen')
          expect(inPlace).not.toContain(false)
          expect(new Set(sets).size).toBe(sets.length)
          expect(sets.length).toBeGreaterThan(1)
          expect(sets.at(-1)).toBe(source.members)
          const first = (set: readonly Member[] | undefined) =>
            set?.find((member) => member.name === nameOf('one'))
          const since = sets.filter((set) => live(first(set)?.state)).map((set) => first(set)?.stateSinceMs)
          expect(since.every((ms) => typeof ms === 'number' && ms > 0)).toBe(true)
        },
      )

      testWhere(capabilities.self)('a change from within a listener waits its turn', async () => {
        const source = harness.create()
        await start(source)
        let depth = 0
        const order: string[] = []
        const watch = (listener: string) => (members: readonly Member[]) => {
          depth += 1
          expect(depth).toBe(1)
          order.push(`${listener} ${members.find((member) => member.name === source.selfName)?.state}`)
          if (listener === 'first') void source.leave()
          depth -= 1
        }
        source.subscribe(watch('first'))
        source.subscribe(watch('second'))
        if (capabilities.add) await harness.addMember?.('prompt')
        else await source.leave()
        await eventually(() => order.includes('second left'), 'the leave of a listener is published')
        const firsts = order.filter((entry) => entry.startsWith('first')).map((entry) => entry.slice(6))
        const seconds = order.filter((entry) => entry.startsWith('second')).map((entry) => entry.slice(7))
        expect(seconds).toEqual(firsts)
      })
    })

    describe('leave', () => {
      test('before start it does nothing', async () => {
        const source = harness.create()
        await source.leave()
        expect(source.members).toEqual([])
        await start(source)
        if (capabilities.self) expect(stateOf(source, source.selfName ?? '')).toBe('alive')
      })

      test('after stop it does nothing', async () => {
        const source = harness.create()
        await start(source)
        await source.stop()
        const before = source.members
        await source.leave()
        expect(source.members).toBe(before)
      })

      testWhere(capabilities.self)('it marks this process left and publishes that, once', async () => {
        const source = harness.create()
        await start(source)
        let calls = 0
        source.subscribe(() => calls++)
        await source.leave()
        expect(stateOf(source, source.selfName ?? '')).toBe('left')
        const { length } = source.members
        const published = calls
        expect(published).toBeGreaterThan(0)
        await Promise.all([source.leave(), source.leave()])
        expect(calls).toBe(published)
        expect(source.members).toHaveLength(length)
      })

      testWhere(capabilities.self && capabilities.seen)('it tells the others, for good', async () => {
        const source = harness.create()
        await start(source)
        await harness.addMember?.('other')
        await eventually(() => live(harness.seenByMember?.('other', source)), 'the other sees the source')
        await source.leave()
        await eventually(() => !live(harness.seenByMember?.('other', source)), 'the other sees it gone')
        await harness.advance(500)
        expect(live(harness.seenByMember?.('other', source))).toBe(false)
      })

      testWhere(capabilities.self && capabilities.add)('after it the others are still followed', async () => {
        const source = harness.create()
        await start(source)
        await harness.addMember?.('early')
        await eventually(() => live(stateOf(source, 'early')), 'the first member is seen')
        await source.leave()
        await harness.addMember?.('later')
        await eventually(() => live(stateOf(source, 'later')), 'a member is seen after the leave')
        expect(stateOf(source, source.selfName ?? '')).toBe('left')
      })
    })

    describe.runIf(capabilities.remove || capabilities.kill)('the others', () => {
      testWhere(capabilities.remove)('one that leaves is no longer alive', async () => {
        const source = harness.create()
        await start(source)
        await harness.addMember?.('leaver')
        await eventually(() => live(stateOf(source, 'leaver')), 'the member is seen')
        await harness.removeMember?.('leaver')
        await eventually(() => !live(stateOf(source, 'leaver')), 'the member is seen to be gone')
      })

      testWhere(capabilities.kill)('one that dies is no longer alive', async () => {
        const source = harness.create()
        await start(source)
        await harness.addMember?.('victim')
        await eventually(() => live(stateOf(source, 'victim')), 'the member is seen')
        await harness.killMember?.('victim')
        await eventually(() => !live(stateOf(source, 'victim')), 'the member is seen to be dead')
        expect(stateOf(source, 'victim')).not.toBe('left')
      })
    })

    describe('stop', () => {
      test('it is idempotent, settles done and releases everything', async () => {
        const source = harness.create()
        await start(source)
        await Promise.all([source.stop(), source.stop()])
        await source.stop()
        await source.done
        await harness.advance(0)
        expect(harness.openResources()).toBe(0)
      })

      test('before start it is final: the start is refused', async () => {
        const source = harness.create()
        await source.stop()
        await source.done
        await expectCode('SOURCE_FAILED', start(source))
        expect(source.members).toEqual([])
        expect(harness.openResources()).toBe(0)
      })

      test('during start it rejects the start and publishes nothing', async () => {
        const source = harness.create()
        let calls = 0
        source.subscribe(() => calls++)
        const started = start(source)
        const stopped = source.stop()
        await expectCode('SOURCE_FAILED', started)
        await stopped
        await source.done
        expect(calls).toBe(0)
        expect(source.members).toEqual([])
        expect(harness.openResources()).toBe(0)
      })

      test('a stopped source cannot be started again', async () => {
        const source = harness.create()
        await start(source)
        await source.stop()
        await expectCode('SOURCE_FAILED', start(source))
        expect(harness.openResources()).toBe(0)
      })

      test('after it nothing is published', async () => {
        const source = harness.create()
        await start(source)
        let calls = 0
        source.subscribe(() => calls++)
        if (capabilities.add) {
          await harness.addMember?.('first')
          await eventually(() => live(stateOf(source, 'first')), 'the member is seen')
        }
        await source.stop()
        calls = 0
        const before = source.members
        await harness.killMember?.('first')
        await source.leave()
        await harness.advance(1000)
        expect(calls).toBe(0)
        expect(source.members).toBe(before)
      })

      testWhere(capabilities.self)('during leave it ends both', async () => {
        const source = harness.create()
        await start(source)
        const left = source.leave()
        await source.stop()
        await left
        await source.done
        expect(harness.openResources()).toBe(0)
      })

      test('a listener that stops the source hears nothing more, nor does any other', async () => {
        const source = harness.create()
        let stopped: Promise<void> | undefined
        let late = 0
        source.subscribe(() => {
          stopped = source.stop()
        })
        source.subscribe(() => late++)
        await start(source).catch(() => {
          // Stopped while it started: either outcome is fine here.
        })
        await source.leave()
        await (stopped ?? source.stop())
        expect(late).toBe(0)
        expect(harness.openResources()).toBe(0)
      })
    })
  })
}

async function expectCode(code: ErrorCode, promise: Promise<unknown>): Promise<void> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(isRingmanError(outcome) ? outcome.code : outcome).toBe(code)
}

/** A test of sources that can do what it is about; where they cannot, there is nothing to test. */
function testWhere(able: boolean): (name: string, run: () => Promise<void>) => void {
  return (name, run) => {
    if (able) test(name, run)
  }
}
