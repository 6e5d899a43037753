import { once } from 'node:events'
import { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Turns } from '../../src/http/turns.ts'

test('gives one turn in each turn of the event loop, and lets what has begun come to its end first', async () => {
  const turns = new Turns()
  const socket = new Socket()
  const log: string[] = []
  const work = async (name: string) => {
    await turns.begin(socket)
    log.push(`${name}1`)
    await turns.goOn()
    log.push(`${name}2`)
  }
  const all = Promise.all(['a', 'b', 'c'].map(work))
  for (let turn = 1; turn <= 6; turn++) {
    await nextTurn()
    expect(log).toHaveLength(turn)
  }
  await all
  expect(log).toEqual(['a1', 'a2', 'b1', 'b2', 'c1', 'c2'])
  // And again, once nobody waited.
  await turns.begin(socket)
})

test('what waits for a turn is let go at once when its connection closes', async () => {
  const turns = new Turns()
  const [gone, open] = [new Socket(), new Socket()]
  const log: string[] = []
  const waiting = ['a', 'b', 'c'].map(async (name, at) => {
    await turns.begin(at === 1 ? open : gone)
    log.push(name)
  })
  gone.destroy()
  await once(gone, 'close')
  expect(log).toEqual(['a', 'c'])
  await Promise.all(waiting)
  await turns.begin(gone)
  expect(log).toEqual(['a', 'c', 'b'])
})
