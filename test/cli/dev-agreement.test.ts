import { expect, test } from 'vitest'
import { RingAgreement, type AgreedRing } from '../../src/cli/dev-agreement.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

function setUp() {
  const clock = new VirtualClock()
  const agreed: AgreedRing[] = []
  const disagreed: ReadonlyMap<string, number>[] = []
  const agreement = new RingAgreement({
    clock,
    patienceMs: 1000,
    onAgreed: (ring) => void agreed.push(ring),
    onDisagreed: (digests) => void disagreed.push(digests),
  })
  return { clock, agreed, disagreed, agreement }
}

test('a ring is agreed on when the last member has it, and told once', async () => {
  const { clock, agreed, agreement } = setUp()
  agreement.join('a')
  agreement.join('b')
  agreement.report('a', { digest: '1', added: ['x', 'y'], removed: [] })
  expect(agreed).toEqual([])
  await clock.advance(200)
  agreement.report('b', { digest: '1', added: ['x', 'y'], removed: [] })
  expect(agreed).toEqual([{ digest: '1', ringKeys: new Set(['x', 'y']), afterMs: 200 }])
  agreement.report('b', { digest: '1', added: [], removed: [] })
  expect(agreed).toHaveLength(1)

  agreement.report('a', { digest: '2', added: ['z'], removed: ['x'] })
  await clock.advance(50)
  agreement.report('b', { digest: '2', added: ['z'], removed: ['x'] })
  expect(agreed.at(-1)).toEqual({ digest: '2', ringKeys: new Set(['y', 'z']), afterMs: 50 })
})

test('a member that is lost no longer has to agree; one that says nothing yet has to', () => {
  const { agreed, agreement } = setUp()
  agreement.join('a')
  agreement.join('b')
  agreement.report('a', { digest: '1', added: ['x'], removed: [] })
  expect(agreed).toEqual([])
  agreement.lose('b')
  expect(agreed.map(({ digest }) => digest)).toEqual(['1'])
  agreement.report('b', { digest: '9', added: [], removed: [] })
  expect(agreed).toHaveLength(1)
})

test('a change that comes and goes before all have it is no agreement', () => {
  const { agreed, agreement } = setUp()
  for (const name of ['a', 'b']) {
    agreement.join(name)
    agreement.report(name, { digest: '1', added: ['x'], removed: [] })
  }
  const before = agreed.length
  agreement.report('a', { digest: '2', added: ['y'], removed: [] })
  agreement.report('a', { digest: '1', added: [], removed: ['y'] })
  expect(agreed).toHaveLength(before)
})

test('lasting disagreement is told once, with how many hold what', async () => {
  const { clock, disagreed, agreement } = setUp()
  for (const name of ['a', 'b', 'c']) agreement.join(name)
  agreement.report('a', { digest: '1', added: ['x'], removed: [] })
  agreement.report('b', { digest: '1', added: ['x'], removed: [] })
  await clock.advance(999)
  expect(disagreed).toEqual([])
  await clock.advance(5000)
  expect(disagreed).toEqual([
    new Map([
      ['1', 2],
      ['none', 1],
    ]),
  ])
  agreement.stop()
  expect(clock.pendingTimers).toBe(0)
})

test('after lasting disagreement the ring of before is told again, in whole milliseconds', async () => {
  const { clock, agreed, disagreed, agreement } = setUp()
  for (const name of ['a', 'b']) {
    agreement.join(name)
    agreement.report(name, { digest: '1', added: ['x'], removed: [] })
  }
  const before = agreed.length
  agreement.report('a', { digest: '2', added: [], removed: ['x'] })
  await clock.advance(1500.4)
  expect(disagreed).toHaveLength(1)
  agreement.report('a', { digest: '1', added: ['x'], removed: [] })
  expect(agreed.slice(before)).toEqual([{ digest: '1', ringKeys: new Set(['x']), afterMs: 1500 }])
})
