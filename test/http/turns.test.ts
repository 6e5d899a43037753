import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Turns } from '../../src/http/turns.ts'

test('gives one turn in each turn of the event loop, in the order of the calls', async () => {
  const turns = new Turns()
  const log: string[] = []
  const work = async (name: string) => {
    for (let i = 1; i <= 2; i++) {
      await turns.next()
      log.push(`${name}${i}`)
    }
  }
  const all = Promise.all(['a', 'b', 'c'].map(work))
  for (let turn = 1; turn <= 6; turn++) {
    await nextTurn()
    expect(log).toHaveLength(turn)
  }
  await all
  expect(log).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'c2'])
  // And again, once nobody waited.
  await turns.next()
})
