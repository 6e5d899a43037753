import { describe, expect, test, vi } from 'vitest'
import { RingmanError } from '../../src/errors.ts'
import {
  AGREEMENT_INTERVAL_MS,
  AgreementRounds,
  MAX_WAITING,
  type AskDigest,
} from '../../src/http/agreement.ts'
import { RingAnswers } from '../../src/http/ring-answers.ts'
import type { Member } from '../../src/membership/member.ts'
import { fakeMember } from '../support/fake-source.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { makeRing } from './running-ring.ts'

function peer(name: string, address: string, httpPort?: number): Member {
  const member = fakeMember(name, address)
  return { ...member, metadata: { ...member.metadata!, ...(httpPort === undefined ? {} : { httpPort }) } }
}

const MEMBERS = [
  peer('a', '10.0.0.1', 8080),
  peer('b', '10.0.0.2', 8080),
  peer('c', '::3', 8080),
  peer('d', '10.0.0.4'),
  { ...peer('e', '10.0.0.5', 8080), state: 'dead' as const },
]

async function setUp(ask: AskDigest | undefined, members: readonly Member[] = MEMBERS) {
  const clock = new VirtualClock()
  const { ring, source } = makeRing({ clock, members, selfName: 'a' })
  await clock.during(100, ring.start())
  return { clock, ring, source, rounds: new AgreementRounds(ring, { ask, clock }) }
}

describe('Whether the members agree', () => {
  test('asks every other living member at its own address, and compares', async () => {
    const asked: string[] = []
    const { ring, rounds } = await setUp((url, name) => {
      asked.push(`${url} ${name}`)
      if (url.includes('::3')) {
        return Promise.reject(new RingmanError('UNREACHABLE', `cannot reach ${'x'.repeat(10_000)}`))
      }
      return Promise.resolve(ring.manager.snapshot.ring.digest)
    })
    expect(rounds.last(ring)).toBeUndefined()
    await rounds.refresh(ring, 'ns/name')
    expect(asked.sort()).toEqual(['http://10.0.0.2:8080 ns/name', 'http://[::3]:8080 ns/name'])
    const last = rounds.last(ring)
    expect(last?.agreed).toBe(false)
    expect(last?.members.map(({ name, verdict, error }) => [name, verdict, error?.code])).toEqual([
      ['b', 'agrees', undefined],
      ['c', 'silent', 'UNREACHABLE'],
      ['d', 'not-asked', undefined],
    ])
    expect(last?.members[1]?.error?.message.length).toBeLessThanOrEqual(300)
  })

  test('tells an older ring of this member from another one', async () => {
    const digests = { b: '', c: '0123456789abcdef' }
    const { clock, ring, source, rounds } = await setUp((url) =>
      Promise.resolve(url.includes('::3') ? digests.c : digests.b),
    )
    digests.b = ring.manager.snapshot.ring.digest
    source.set([...MEMBERS, peer('f', '10.0.0.6')])
    await clock.advance(100)
    await rounds.refresh(ring, undefined)
    expect(
      rounds
        .last(ring)
        ?.members.slice(0, 2)
        .map(({ verdict }) => verdict),
    ).toEqual(['behind', 'differs'])
  })

  test('holds no answer from before a change against anybody, and lists whoever lives now', async () => {
    const own: { digest?: string } = {}
    const { clock, ring, source, rounds } = await setUp(() => Promise.resolve(own.digest!))
    own.digest = ring.manager.snapshot.ring.digest
    await rounds.refresh(ring, undefined)
    const verdicts = () => {
      const last = rounds.last(ring)
      return [last?.agreed, ...(last?.members ?? []).map(({ name, verdict }) => `${name} ${verdict}`)]
    }
    expect(verdicts()).toEqual([false, 'b agrees', 'c agrees', 'd not-asked'])

    await clock.advance(1000)
    // B leaves, D says where it answers, F comes.
    const [a, , c, d] = MEMBERS
    source.set([a!, c!, peer(d!.name, d!.address, 8080), peer('f', '10.0.0.6', 8080)])
    await clock.advance(100)
    expect(verdicts()).toEqual([false, 'c not-yet-asked', 'd not-yet-asked', 'f not-yet-asked'])
    await clock.advance(AGREEMENT_INTERVAL_MS)
    await rounds.refresh(ring, undefined)
    expect(verdicts()).toEqual([false, 'c behind', 'd behind', 'f behind'])
    own.digest = ring.manager.snapshot.ring.digest
    await clock.advance(AGREEMENT_INTERVAL_MS)
    await rounds.refresh(ring, undefined)
    expect(verdicts()).toEqual([true, 'c agrees', 'd agrees', 'f agrees'])
  })

  test('asks once for a crowd, and then not for some seconds', async () => {
    let asked = 0
    const { clock, ring, rounds } = await setUp(() => {
      asked += 1
      return Promise.resolve('0123456789abcdef')
    })
    await Promise.all(Array.from({ length: 50 }, () => rounds.refresh(ring, undefined)))
    expect(asked).toBe(2)
    await clock.advance(AGREEMENT_INTERVAL_MS - 1)
    await rounds.refresh(ring, undefined)
    expect(asked).toBe(2)
    await clock.advance(1)
    await rounds.refresh(ring, undefined)
    expect(asked).toBe(4)
  })

  test('so many wait for a round; others are told of the one before at once', async () => {
    let answer = Promise.withResolvers<string>()
    const { clock, ring, rounds } = await setUp(() => answer.promise)
    const answers = new RingAnswers(ring, { named: undefined, clock, rounds })
    const crowd = () => Array.from({ length: MAX_WAITING }, () => answers.agreement())
    const made = vi.spyOn(rounds, 'last')
    const first = crowd()
    await expect(answers.agreement()).rejects.toMatchObject({ code: 'OVERLOADED' })
    answers.askAgreement()
    answer.resolve(ring.manager.snapshot.ring.digest)
    made.mockClear()
    const [told] = await Promise.all(first)
    // They are answered in one turn of the event loop, so that the answer is made once.
    expect(made).toHaveBeenCalledTimes(1)
    await clock.advance(AGREEMENT_INTERVAL_MS)
    answer = Promise.withResolvers()
    const second = crowd()
    expect(await answers.agreement()).toBe(told)
    answer.resolve('0123456789abcdef')
    expect((await Promise.all(second))[0]).not.toBe(told)
  })

  test('asks a bounded number at a time, and nobody any more after some seconds', async () => {
    const many = Array.from({ length: 200 }, (_, i) => peer(`m${i}`, `10.1.0.${i}`, 8080))
    let open = 0
    let most = 0
    const { clock, ring, rounds } = await setUp(async () => {
      open += 1
      most = Math.max(most, open)
      await new Promise<void>((resolve) => clock.after(2000, resolve))
      open -= 1
      throw new RingmanError('TIMEOUT', 'no answer')
    }, [peer('a', '10.0.0.1'), ...many])
    await clock.during(20_000, rounds.refresh(ring, undefined))
    expect(most).toBe(32)
    const verdicts = Map.groupBy(rounds.last(ring)?.members ?? [], ({ verdict }) => verdict)
    expect(verdicts.get('silent')?.length).toBe(160)
    expect(verdicts.get('not-asked')?.length).toBe(40)
  })

  test('is agreed where there is no other member, and asks nobody where it cannot', async () => {
    const { ring, rounds } = await setUp(undefined, [peer('a', '10.0.0.1', 8080)])
    await rounds.refresh(ring, undefined)
    expect(rounds.last(ring)).toMatchObject({ agreed: true, members: [] })
    const other = await setUp(undefined)
    await other.rounds.refresh(other.ring, undefined)
    expect(other.rounds.last(other.ring)?.members.every(({ verdict }) => verdict === 'not-asked')).toBe(true)
  })
})
