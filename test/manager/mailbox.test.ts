import { expect, test } from 'vitest'
import { Mailbox } from '../../src/manager/mailbox.ts'
import { fateOf } from '../support/virtual-clock.ts'

test('delivers in the order of sending, and holds up senders while it is full, and only then', async () => {
  for (const capacity of [1, 2, 10]) {
    const mailbox = new Mailbox<number>(capacity)
    const reader = mailbox.receive()
    const accepted = Array.from({ length: capacity + 3 }, (_, i) => mailbox.send(i))
    expect(await fateOf(reader)).toBe(0)
    for (let taken = 1; taken <= capacity + 3; taken++) {
      const inBox = Math.min(capacity, capacity + 3 - taken)
      const waiting = capacity + 3 - taken - inBox
      expect([mailbox.pending, mailbox.waiting]).toEqual([inBox, waiting])
      expect(await Promise.all(accepted.map(fateOf))).toEqual(
        accepted.map((_, i) => (i < taken + inBox ? true : 'pending')),
      )
      if (taken < capacity + 3) expect(await fateOf(mailbox.receive())).toBe(taken)
    }
    const next = mailbox.receive()
    expect(await fateOf(next)).toBe('pending')
    expect(await fateOf(mailbox.send(100))).toBe(true)
    expect(await fateOf(next)).toBe(100)
  }
})

test('close refuses waiting and later senders, ends the reader and returns what nobody received', async () => {
  const mailbox = new Mailbox<number>(1)
  void mailbox.send(1)
  const blocked = mailbox.send(2)
  expect(mailbox.close()).toEqual([1])
  expect(await fateOf(blocked)).toBe(false)
  expect(await fateOf(mailbox.send(3))).toBe(false)
  expect(await fateOf(mailbox.receive())).toBeUndefined()
  expect([mailbox.pending, mailbox.waiting]).toEqual([0, 0])

  const idle = new Mailbox<number>(1)
  const reader = idle.receive()
  expect(idle.close()).toEqual([])
  expect(await fateOf(reader)).toBeUndefined()
  expect(await fateOf(idle.send(1))).toBe(false)
})
