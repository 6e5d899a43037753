import { describe, expect, test } from 'vitest'
import { Inquiries } from '../../../../src/membership/memberlist/protocol/inquiry.ts'
import type { MemberRecord } from '../../../../src/membership/memberlist/protocol/members.ts'
import type { ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import { Suspicions } from '../../../../src/membership/memberlist/protocol/suspicion.ts'
import type { Alive, IndirectPing } from '../../../../src/membership/memberlist/wire/messages.ts'
import { CoreBench } from './core-bench.ts'
import { alive, endpointOf } from './machine.ts'

const NO_BYTES = new Uint8Array(0)
/** What follows the rule of witnesses; any other metadata does not. */
const isWitness = (meta: Uint8Array) => meta.length === 0

/** The inquiries of `m1` beside `m2`, the suspect, to `m<count>`; nobody answers by himself. */
class InquiryBench extends CoreBench {
  readonly deaths: { readonly atMs: number; readonly name: string }[] = []
  readonly inquiries: Inquiries
  readonly suspicions: Suspicions
  readonly others: MemberRecord[]
  readonly record: MemberRecord

  constructor(count: number, settings: Partial<ProtocolSettings> = {}) {
    // Without checks the only pings are those of the look.
    super({ checkSuspects: false, ...settings }, { isWitness })
    this.others = this.members(count)
    this.record = this.others[0]!
    this.suspicions = new Suspicions(this.core, { declareDead: () => {}, askForState: () => {} })
    this.inquiries = new Inquiries(this.core, (record) => {
      this.deaths.push({ atMs: this.nowMs, name: record.name })
      this.suspicions.end(record)
      this.core.members.setState(record, 'dead', this.nowMs)
    })
  }

  suspect(record = this.record, from = 'm1'): void {
    this.core.members.setState(record, 'suspect', this.nowMs)
    this.suspicions.begin(record, from)
  }

  refute(record = this.record): void {
    this.suspicions.end(record)
    this.core.members.setState(record, 'alive', this.nowMs)
  }

  /** Suspects `m2`, whose probe began just now, and asks the others: at 1000 ms. */
  begin(probedMs = this.nowMs): this {
    this.suspect()
    this.inquiries.begin(this.record, probedMs)
    return this
  }

  /** The questions about `m2`: the last inquiry's, by who was asked. */
  asked(): number[] {
    const all = this.sent('indirect-ping')
    const seqNo = all.at(-1)?.message.seqNo
    return all.filter(({ message }) => message.seqNo === seqNo).map(({ to }) => to)
  }

  say(kind: 'ack' | 'nack', ...from: number[]): void {
    const { seqNo } = this.sent('indirect-ping').at(-1)!.message
    for (const n of from) {
      const pending = this.core.pending.get(seqNo)
      if (kind === 'ack') pending?.acked(NO_BYTES, endpointOf(n), [])
      else pending?.nacked?.(endpointOf(n))
    }
  }

  vouch(n: number, over: Partial<Alive> = {}): void {
    this.inquiries.vouched(alive(2, 1, over), endpointOf(n))
  }

  /** The suspect answers the look. */
  answer(): void {
    const { seqNo } = this.sent('ping').at(-1)!.message
    this.core.pending.get(seqNo)?.acked(Uint8Array.of(5), endpointOf(2), [])
  }

  /** When `m2` was pinged, from 1000 ms on. */
  pings(): number[] {
    return this.sent('ping')
      .filter(({ to }) => to === 2)
      .map(({ atMs }) => Math.round(atMs - 1000))
  }

  question(asker: number, over: Partial<IndirectPing> = {}): void {
    const target = alive(2).address
    const message: IndirectPing = {
      kind: 'indirect-ping',
      seqNo: 70 + asker,
      target,
      port: 7946,
      node: 'm2',
      nack: true,
    }
    this.inquiries.witness({ ...message, ...over }, endpointOf(asker))
  }

  /** A packet came from where the suspect is. */
  hear(): void {
    this.core.contacts.received(this.record.endpoint, 100, this.nowMs)
  }

  /** It has answered before, long ago. */
  known(): this {
    this.core.contacts.answered(this.record.endpoint, 'm2', this.nowMs - 100_000)
    return this
  }
}

/** When `m2` was dead, from 1000 ms on. */
const deathOf = (bench: InquiryBench) => bench.deaths.map(({ atMs }) => atMs - 1000)

describe('an inquiry', () => {
  test('asks those that are alive, the suspicion first, and pings itself as often as the sum says', () => {
    const bench = new InquiryBench(6)
    bench.core.announceSelf()
    bench.core.members.setState(bench.others[1]!, 'suspect', 0)
    bench.begin(-100_000)
    expect(new Set(bench.asked())).toEqual(new Set([4, 5, 6]))
    const [packet] = bench.of('send-packet')
    expect(packet?.messages.slice(0, 2).map(({ kind }) => kind)).toEqual(['suspect', 'indirect-ping'])
    bench.run(2000)
    // Four could be asked, for which there are eleven pings, a tenth of an interval each, and room for news in each.
    expect(bench.pings()).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000])
    const own = bench.of('send-packet').filter(({ to }) => to.address === '10.0.0.2')
    for (const { messages } of own)
      expect(messages.map(({ kind }) => kind)).toEqual(['ping', 'suspect', 'alive'])
  })

  test.each([
    // One other: 20 pings; of more than ten: seven, for 0.8 intervals.
    [3, 20, 2000],
    [9, 10, 1000],
    [13, 7, 800],
    [20, 7, 800],
  ])('beside %i members has %i pings in %i ms', (count, tries, lookMs) => {
    const bench = new InquiryBench(count)
    bench.begin(-100_000)
    bench.run(2800)
    expect(bench.pings()).toEqual(Array.from({ length: tries }, (_, i) => Math.round((i * lookMs) / tries)))
  })

  test.each([
    ['all nack, and all were asked: when the look is over', 5, 0, [], 1000],
    ['as many as are needed, the others mute', 5, 0, [3], 2500],
    ['of more than can be asked, all nack', 20, 0, [], 2500],
    ['of more than can be asked, all nack, and the probe began earlier', 20, 1000, [], 1500],
    ['and it began long ago', 20, 100_000, [], 800],
  ])('%s', (_, count, probedAgoMs, mute: number[], deadMs) => {
    const bench = new InquiryBench(count).begin(1000 - probedAgoMs)
    bench.say('nack', ...bench.asked().filter((n) => !mute.includes(n)))
    // Here three others have fourteen pings.
    const lookMs = count === 5 ? 1400 : 800
    const expectedMs = Math.max(deadMs, lookMs)
    bench.run(expectedMs - 2)
    expect(deathOf(bench)).toEqual([])
    bench.run(2)
    expect(deathOf(bench)).toHaveLength(1)
    expect(deathOf(bench)[0]).toBeGreaterThanOrEqual(expectedMs - 1)
    expect(bench.core).toMatchObject({ pending: new Map() })
    // The news begins its way at all who were asked, alone.
    const told = bench.of('send-packet').filter(({ messages }) => messages[0]?.kind === 'dead')
    expect(new Set(told.map(({ to }) => to.address)).size).toBe(Math.min(12, count - 2))
    for (const { messages } of told) expect(messages).toHaveLength(1)
  })

  test('where one that could not be asked may have heard it, waits for the time of the probe', () => {
    const bench = new InquiryBench(6)
    bench.core.members.setState(bench.others[4]!, 'suspect', 0)
    bench.begin()
    bench.say('nack', 3, 4, 5)
    bench.run(2498)
    expect(bench.deaths).toEqual([])
    bench.run(2)
    expect(bench.deaths).toHaveLength(1)
  })

  test('the news of the death carries nothing else', () => {
    const bench = new InquiryBench(5).begin()
    bench.core.announceSelf()
    bench.say('nack', 3, 4, 5)
    bench.run(1400)
    const told = bench.of('send-packet').filter(({ messages }) => messages[0]?.kind === 'dead')
    expect(told).toHaveLength(3)
    for (const { messages } of told) expect(messages).toHaveLength(1)
  })

  test('needs two of three, whoever else nacks, and each once', () => {
    const bench = new InquiryBench(5).begin()
    bench.say('nack', 3, 3, 9, 10)
    bench.run(2600)
    expect(bench.deaths).toEqual([])
    bench.say('nack', 4)
    expect(deathOf(bench)).toEqual([2600])
  })

  test.each([
    [2498, 2500],
    [2499, 2499],
  ])('with the last nack that it needs after %i ms, one being mute, is over after %i', (nackMs, deadMs) => {
    const bench = new InquiryBench(5).begin()
    bench.say('nack', 3)
    bench.run(nackMs)
    bench.say('nack', 4)
    bench.run(100)
    expect(deathOf(bench)).toEqual([deadMs])
  })

  test('that needs more time goes on for it: a nack just before the others are asked still counts', () => {
    const bench = new InquiryBench(5).begin()
    bench.say('nack', 3)
    bench.run(2899)
    bench.say('nack', 4)
    expect(deathOf(bench)).toEqual([2899])
  })

  test('does not wait for who fell silent itself', () => {
    const bench = new InquiryBench(5).begin()
    bench.say('nack', 3, 4)
    bench.core.members.setState(bench.others[3]!, 'suspect', bench.nowMs)
    bench.run(1400)
    expect(deathOf(bench)).toEqual([1400])
  })

  test('does not wait for who has spoken, though others are asked at last', () => {
    for (const state of ['alive', 'dead'] as const) {
      const bench = new InquiryBench(5).begin()
      bench.say('nack', 3, 4, 5)
      bench.core.members.setState(bench.others[3]!, state, bench.nowMs)
      bench.run(1400)
      expect(deathOf(bench)).toEqual([1400])
    }
  })

  test.each([
    ['of the suspect', (bench: InquiryBench) => bench.vouch(3), true],
    ['of another member', (bench: InquiryBench) => bench.vouch(3, { node: 'm4' }), false],
    ['of nobody that is known', (bench: InquiryBench) => bench.vouch(3, { node: 'm99' }), false],
    ['of somebody who was not asked', (bench: InquiryBench) => bench.vouch(9), false],
  ])('waits for who vouched %s', (_, vouch, isWaiting) => {
    const bench = new InquiryBench(5).begin()
    vouch(bench)
    bench.say('nack', 4, 5)
    bench.run(2500)
    expect(deathOf(bench)).toEqual(isWaiting ? [] : [2500])
    if (!isWaiting) return
    // It has heard it before, and says at last that it is silent; from then on its word is not weighed anew.
    bench.say('nack', 3)
    expect(deathOf(bench)).toEqual([2500])
  })

  test('a witness that found it silent does not take that back', () => {
    const bench = new InquiryBench(5).begin()
    bench.say('nack', 3, 4, 5)
    bench.vouch(3)
    bench.run(1400)
    expect(deathOf(bench)).toEqual([1400])
  })

  test('ends when a relay reached it, were all others sure, and the answer counts as one', () => {
    const bench = new InquiryBench(5).begin()
    bench.say('nack', 3, 4, 5)
    bench.say('ack', 5)
    expect(bench.record.lastAckMs).toBe(1000)
    expect(bench.core.contacts.isReached(bench.record.endpoint, 1000)).toBe(false)
    bench.run(10_000)
    expect(bench.deaths).toEqual([])
  })

  test('ends when the suspect answered us, or something came from it', () => {
    const answering = new InquiryBench(5).begin()
    answering.say('nack', 3, 4, 5)
    answering.run(500)
    answering.answer()
    expect(answering.record.lastAckMs).toBe(1500)
    expect(answering.core.contacts.isReached(answering.record.endpoint, 1500)).toBe(true)
    const pings = answering.pings().length
    expect(answering.core).toMatchObject({ pending: new Map() })
    answering.run(10_000)
    expect(answering.deaths).toEqual([])
    expect(answering.pings()).toHaveLength(pings)
    const heard = new InquiryBench(5).known().begin()
    heard.say('nack', 3, 4, 5)
    heard.run(500)
    heard.hear()
    heard.run(10_000)
    expect(heard.deaths).toEqual([])
  })

  test.each([
    [2499, 1500 - 1],
    [2500, 1500],
  ])('a look goes on until the suspect was silent for 2.5 s: heard %i ms before its end', (_, heardAgoMs) => {
    const bench = new InquiryBench(5)
    bench.core.contacts.answered(bench.record.endpoint, 'm2', 1000 - heardAgoMs)
    bench.begin()
    bench.say('nack', 3, 4, 5)
    const deadMs = Math.max(1400, 2500 - heardAgoMs)
    bench.run(deadMs - 2)
    expect(bench.deaths).toEqual([])
    bench.run(2)
    expect(bench.deaths).toHaveLength(1)
  })

  test('is about one suspicion, and one place', () => {
    const bench = new InquiryBench(5).begin()
    bench.say('nack', 3, 4, 5)
    bench.run(1350)
    // It refuted, and is suspected again, between two pings.
    bench.refute()
    bench.suspect()
    bench.run(2000)
    expect(bench.deaths).toEqual([])
    const moved = new InquiryBench(5).begin()
    moved.say('nack', 3, 4, 5)
    moved.core.members.move(moved.record, endpointOf(9), alive(9).address)
    moved.run(10_000)
    expect(moved.deaths).toEqual([])
  })

  test('ends with the suspicion: whoever refuted is pinged no more', () => {
    const bench = new InquiryBench(5).begin()
    bench.say('nack', 3, 4, 5)
    bench.run(1250)
    const before = bench.pings().length
    bench.refute()
    bench.run(10_000)
    expect(bench.pings()).toHaveLength(before)
    expect(bench.core).toMatchObject({ pending: new Map() })
    // And the next one begins from nothing.
    bench.clear()
    bench.begin()
    expect(bench.asked()).toHaveLength(3)
    expect(bench.pings()).toHaveLength(1)
  })

  test.each([
    ['half of the others suspect', 3, false, true],
    ['more than half of the others suspect', 4, false, false],
    ['we are held for dead meanwhile', 1, true, false],
  ])('counts with %s', (_, suspects, isDoubted, isDead) => {
    const bench = new InquiryBench(7).begin()
    for (const record of bench.others.slice(1, suspects)) bench.core.members.setState(record, 'suspect', 0)
    if (isDoubted) bench.core.declaredDead.doubt(bench.nowMs)
    bench.say('nack', 3, 4, 5, 6, 7)
    bench.run(2000)
    expect(bench.deaths).toHaveLength(isDead ? 1 : 0)
    expect(bench.core.pending.size).toBe(0)
  })
})

describe('whom nobody asks about', () => {
  test.each([
    ['with the rule', {}, true],
    ['with the rule off', { witnesses: 'off' }, false],
    ['beside one that does not follow it', { meta: 9 }, false],
    ['beside one that does not follow it, always', { meta: 9, witnesses: 'always' }, true],
    ['not suspected', { isSuspect: false }, false],
    ['of a contested name', { rival: true }, false],
    ['with no witness', { count: 2 }, false],
  ] as const)('%s: asked: %s', (_, situation, isAsked) => {
    const { meta, count, isSuspect, rival, ...settings } = {
      count: 5,
      meta: undefined,
      isSuspect: true,
      rival: false,
      ...situation,
    }
    const bench = new InquiryBench(count, settings)
    if (meta !== undefined) bench.others[1]!.meta = Uint8Array.of(meta)
    if (rival) bench.record.rival = endpointOf(9)
    if (isSuspect) bench.suspect()
    bench.inquiries.begin(bench.record, bench.nowMs)
    expect(bench.sent('indirect-ping').length > 0).toBe(isAsked)
    expect(bench.pings().length > 0).toBe(isAsked)
  })

  test('one who is asked about or looked for already', () => {
    const bench = new InquiryBench(5).begin()
    bench.inquiries.begin(bench.record, bench.nowMs)
    expect(bench.sent('indirect-ping')).toHaveLength(3)
    const witness = new InquiryBench(5)
    witness.suspect()
    witness.question(3)
    witness.inquiries.begin(witness.record, witness.nowMs)
    expect(witness.sent('indirect-ping')).toEqual([])
    // The inquiry is over, and the look not yet.
    const reached = new InquiryBench(5).begin()
    reached.say('ack', 3)
    reached.clear()
    reached.inquiries.begin(reached.record, reached.nowMs)
    expect(reached.sent('indirect-ping')).toEqual([])
    // There is one witness alone.
    const pair = new InquiryBench(3).begin()
    expect(pair.asked()).toEqual([3])
  })

  test('more than 32 at once', () => {
    const bench = new InquiryBench(40, { witnesses: 'always' })
    // Nobody has said so before, so that each is asked about at once.
    for (const record of bench.others.slice(0, 35)) {
      bench.suspect(record)
      bench.inquiries.begin(record, bench.nowMs)
    }
    expect(new Set(bench.sent('indirect-ping').map(({ message }) => message.node)).size).toBe(32)
  })
})

describe('others are asked', () => {
  test('once more, when the first said too little for 2.9 intervals, with the time of the same probe', () => {
    const bench = new InquiryBench(5).begin()
    const times = () => [...new Set(bench.sent('indirect-ping').map(({ atMs }) => atMs - 1000))]
    bench.run(2899)
    expect(times()).toEqual([0])
    bench.run(1)
    expect(times()).toEqual([0, 2900])
    // One question and the look that goes with it.
    expect(bench.core.pending.size).toBe(2)
    bench.say('nack', 3, 4, 5)
    bench.run(1400)
    expect(deathOf(bench)).toEqual([4300])
    const mute = new InquiryBench(5).begin()
    mute.run(20_000)
    expect([...new Set(mute.sent('indirect-ping').map(({ atMs }) => atMs - 1000))]).toEqual([0, 2900])
    expect(mute.core.pending.size).toBe(0)
  })

  test('as soon as too few of the first are left; those that have spoken are', () => {
    const bench = new InquiryBench(8).begin()
    const [a, b, c, d] = bench.others.slice(2)
    bench.say('nack', 4)
    const fall = (record: MemberRecord) => {
      bench.core.members.setState(record, 'suspect', bench.nowMs)
      bench.inquiries.suspected()
    }
    bench.clear()
    for (const record of [a!, b!, c!]) fall(record)
    expect(bench.sent('indirect-ping')).toEqual([])
    fall(d!)
    const left = bench.sent('indirect-ping').map(({ to }) => to)
    expect(new Set(left)).toEqual(new Set([3, 8]))
  })

  test('with the look going on for as long as the second question takes', () => {
    const bench = new InquiryBench(9).begin()
    bench.run(500)
    // All were asked at first; of those that are left not all can be.
    for (const record of bench.others.slice(1, 4)) bench.core.members.setState(record, 'dead', bench.nowMs)
    bench.core.members.setState(bench.others[4]!, 'suspect', bench.nowMs)
    bench.clear()
    bench.inquiries.suspected()
    expect(new Set(bench.asked())).toEqual(new Set([7, 8, 9]))
    bench.say('nack', 7, 8, 9)
    bench.run(1998)
    expect(deathOf(bench)).toEqual([])
    bench.run(2)
    expect(deathOf(bench)).toHaveLength(1)
  })

  test('not about one who refuted meanwhile, or is suspected anew', () => {
    for (const isAnew of [false, true]) {
      const bench = new InquiryBench(5).begin()
      bench.refute()
      if (isAnew) bench.suspect()
      bench.clear()
      for (const record of bench.others.slice(1)) bench.core.members.setState(record, 'suspect', bench.nowMs)
      bench.core.members.setState(bench.others[3]!, 'alive', bench.nowMs)
      bench.inquiries.suspected()
      expect(bench.sent('indirect-ping')).toEqual([])
    }
  })
})

describe('where several are silent at once', () => {
  /** `m2` to `m4` are suspects; `m5` said so of `m2`, whose probe of ours began at 0 ms. */
  function massFailure(by = 'm5') {
    const bench = new InquiryBench(20, { witnesses: 'always' })
    for (const record of bench.others.slice(1, 3)) bench.suspect(record)
    bench.suspect(bench.record, by)
    return bench
  }
  const times = (bench: InquiryBench) => [...new Set(bench.sent('indirect-ping').map(({ atMs }) => atMs))]

  test('who heard that another suspects one asks later: 2.5 intervals after the probe and a little chance', () => {
    const bench = massFailure()
    bench.inquiries.begin(bench.record, 0)
    bench.run(20_000)
    // And once more, as nobody says anything.
    expect(times(bench)).toEqual([3000, 5900])
  })

  test.each([
    ['by us', 'm1', () => {}],
    ['by a stranger', 'm99', () => {}],
    [
      'by one that is silent itself',
      'm5',
      ({ core, others, nowMs }: InquiryBench) => core.members.setState(others[3]!, 'suspect', nowMs),
    ],
    [
      'by one that does not follow the rule',
      'm5',
      ({ others }: InquiryBench) => (others[3]!.meta = Uint8Array.of(1)),
    ],
    ['with one of the others back', 'm5', (bench: InquiryBench) => bench.refute(bench.others[1])],
  ])('suspected %s, it is asked about at once', (_, by, change: (bench: InquiryBench) => unknown) => {
    const bench = massFailure(by)
    change(bench)
    bench.inquiries.begin(bench.record, 0)
    expect(times(bench)).toEqual([1000])
  })

  test('nobody asks later about one that is over, is suspected anew, or is looked for by then', () => {
    for (const change of [
      (bench: InquiryBench) => {
        bench.refute()
      },
      (bench: InquiryBench) => {
        bench.refute()
        bench.suspect()
      },
      (bench: InquiryBench) => {
        bench.run(1500)
        bench.question(5)
      },
    ]) {
      const bench = massFailure()
      bench.inquiries.begin(bench.record, 0)
      change(bench)
      bench.run(20_000)
      expect(times(bench)).toEqual([])
    }
  })
})

describe('a witness', () => {
  /** What the asker `m3` was told, and when, from 1000 ms on. */
  const told = (bench: InquiryBench) =>
    (['alive', 'ack', 'nack'] as const).flatMap((kind) =>
      bench.sent(kind).flatMap(({ atMs, to }) => (to === 3 ? [[kind, Math.round(atMs - 1000)]] : [])),
    )

  test('says twice, a tenth of an interval apart, that it found the suspect silent', () => {
    const bench = new InquiryBench(5)
    bench.suspect()
    bench.question(3)
    bench.run(5000)
    expect(told(bench)).toEqual([
      ['nack', 1400],
      ['nack', 1500],
    ])
    expect(bench.sent('nack').map(({ message }) => message.seqNo)).toEqual([73, 73])
    expect(bench.core).toMatchObject({ pending: new Map() })
  })

  test('says nothing more of one that has refuted between', () => {
    const bench = new InquiryBench(5)
    bench.suspect()
    bench.question(3)
    bench.run(1450)
    bench.refute()
    bench.run(5000)
    expect(told(bench)).toEqual([['nack', 1400]])
  })

  test.each([
    ['refuted', (bench: InquiryBench) => bench.refute()],
    ['heard', (bench: InquiryBench) => bench.hear()],
    ['moved', ({ core, record }: InquiryBench) => core.members.move(record, endpointOf(9), alive(9).address)],
  ])('says nothing of one that has meanwhile %s', (_, change: (bench: InquiryBench) => void) => {
    const bench = new InquiryBench(5).known()
    bench.suspect()
    bench.question(3)
    bench.run(650)
    change(bench)
    bench.run(5000)
    expect(told(bench)).toEqual([])
  })

  test('passes the answer on, with what came in it', () => {
    const bench = new InquiryBench(5)
    bench.suspect()
    bench.question(3)
    bench.answer()
    bench.run(5000)
    expect(told(bench)).toEqual([['ack', 0]])
    expect(bench.sent('ack')[0]?.message).toMatchObject({ seqNo: 73, payload: Uint8Array.of(5) })
  })

  test.each([
    ['alive', undefined, true, false],
    ['dead', undefined, true, false],
    ['left', undefined, true, false],
    ['suspect', undefined, false, true],
    ['suspect', 2498, true, true],
    ['suspect', 2499, false, true],
  ] as const)(
    'of one that is %s here, heard %s ms ago: tells what it knows: %s; looks: %s',
    (state, heardAgoMs, tells, looks) => {
      const bench = new InquiryBench(5)
      bench.core.announceSelf()
      if (heardAgoMs !== undefined)
        bench.core.contacts.answered(bench.record.endpoint, 'm2', 1000 - heardAgoMs)
      bench.suspect()
      bench.core.members.setState(bench.record, state, bench.nowMs)
      bench.question(3)
      const [packet] = bench.of('send-packet').filter(({ to }) => to.address === '10.0.0.3')
      expect(packet?.messages).toEqual(tells ? [alive(2)] : undefined)
      expect(bench.pings()).toHaveLength(looks ? 1 : 0)
    },
  )

  test.each([
    ['a name that is not known', { node: 'm99' }],
    ['another port', { port: 7950 }],
    ['another address', { target: alive(9).address }],
    ['an address that is none', { target: new Uint8Array(4) }],
  ])('looks for nobody by %s', (_, over) => {
    const bench = new InquiryBench(5)
    bench.suspect()
    bench.question(3, over)
    expect(bench.of('send-packet')).toEqual([])
  })

  test('in a ring without keys looks for one that never answered as well, without news for it', () => {
    const bench = new InquiryBench(5, { keyed: false })
    bench.core.announceSelf()
    bench.suspect()
    bench.question(3)
    expect(bench.of('send-packet').map(({ messages }) => messages.map(({ kind }) => kind))).toEqual([
      ['ping', 'suspect'],
    ])
  })

  test('looks once for sixteen that ask, for as long as it takes, and refuses a seventeenth', () => {
    const bench = new InquiryBench(30)
    bench.suspect()
    for (let n = 3; n <= 18; n++) bench.question(n)
    expect(bench.core.counters.refused.overloaded).toBe(0)
    bench.question(19)
    expect(bench.core.counters.refused.overloaded).toBe(1)
    expect(bench.of('log').map(({ fields }) => fields)).toMatchObject([
      { reason: 'overloaded', kind: 'indirect-ping', from: '10.0.0.19' },
    ])
    bench.run(5000)
    expect(new Set(bench.sent('nack').map(({ to }) => to)).size).toBe(16)
    expect(bench.pings()).toHaveLength(7)
  })

  test('looks for 32 at once, and for those still if there are more askers', () => {
    const bench = new InquiryBench(40)
    const ask = (n: number, asker: number) =>
      bench.question(asker, { node: `m${n}`, target: alive(n).address })
    for (let n = 4; n <= 36; n++) {
      bench.suspect(bench.others[n - 2])
      ask(n, 3)
    }
    expect(bench.core.counters.refused.overloaded).toBe(1)
    ask(4, 2)
    expect(bench.core.counters.refused.overloaded).toBe(1)
    // When those are over there is room again.
    bench.run(5000)
    ask(36, 3)
    expect(bench.core.counters.refused.overloaded).toBe(1)
  })

  test('looks longer where our own inquiry needs it', () => {
    const bench = new InquiryBench(20)
    bench.suspect()
    bench.question(3)
    bench.run(100)
    // Asks nobody, as it is looked for already: the look is the question's.
    bench.inquiries.begin(bench.record, bench.nowMs)
    bench.run(5000)
    expect(told(bench)).toEqual([
      ['nack', 800],
      ['nack', 900],
    ])
    // An inquiry first, and then a question: its look is as long as the inquiry needs.
    const own = new InquiryBench(20).begin()
    own.run(100)
    own.question(3)
    own.run(5000)
    expect(told(own).slice(0, 2)).toEqual([
      ['nack', 2500],
      ['nack', 2600],
    ])
  })
})
