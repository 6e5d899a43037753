import { describe, expect, test } from 'vitest'
import { Mailbox } from '../../src/manager/mailbox.ts'
import { settle } from '../support/virtual-clock.ts'

describe('Mailbox', () => {
  test('delivers in the order of sending, whether queued or waited for', async () => {
    const mailbox = new Mailbox<number>(2)
    const first = mailbox.receive()
    expect(await mailbox.send(1)).toBe(true)
    expect(await first).toBe(1)
    await mailbox.send(2)
    await mailbox.send(3)
    const blocked = mailbox.send(4)
    expect(mailbox.tryReceive()).toBe(2)
    expect(await blocked).toBe(true)
    expect([mailbox.tryReceive(), mailbox.tryReceive(), mailbox.tryReceive()]).toEqual([3, 4, undefined])
  })

  test('holds up a sender while it is full, and only then', async () => {
    const mailbox = new Mailbox<number>(10)
    for (let i = 0; i < 10; i++) expect(await mailbox.send(i)).toBe(true)
    let accepted = false
    const blocked = mailbox.send(10).then((value) => {
      accepted = value
    })
    await settle()
    expect(accepted).toBe(false)
    expect([mailbox.pending, mailbox.waiting]).toEqual([10, 1])
    mailbox.tryReceive()
    await blocked
    expect(accepted).toBe(true)
    expect([mailbox.pending, mailbox.waiting]).toEqual([10, 0])
  })

  test('close refuses waiting and later senders, ends the reader and returns what nobody received', async () => {
    const mailbox = new Mailbox<number>(1)
    await mailbox.send(1)
    const blocked = mailbox.send(2)
    expect(mailbox.close()).toEqual([1])
    expect(await blocked).toBe(false)
    expect(await mailbox.send(3)).toBe(false)
    expect(await mailbox.receive()).toBeUndefined()

    const idle = new Mailbox<number>(1)
    const reader = idle.receive()
    idle.close()
    expect(await reader).toBeUndefined()
  })
})
