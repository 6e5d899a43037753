import { EventEmitter } from 'node:events'
import type Koa from 'koa'
import { expect, test } from 'vitest'
import { CurrentView } from '../../src/http/ring-view.ts'
import { RingWatch } from '../../src/http/ring-watch.ts'
import { fakeMember } from '../support/fake-source.ts'
import { httpParts } from '../support/http-parts.ts'
import { settle, VirtualClock } from '../support/virtual-clock.ts'
import { makeRing } from './running-ring.ts'

/** A connection of which a test says when what was written to it has been taken, as the system does by calling back. */
class SlowResponse extends EventEmitter {
  readonly pieces: (string | Buffer)[] = []
  readonly req = {
    socket: {
      destroyed: false,
      bytesWritten: 0,
      writableLength: 0,
      destroy: () => {
        this.req.socket.destroyed = true
        this.destroyed = true
        this.emit('close')
      },
    },
  }
  writableEnded = false
  destroyed = false
  #waiting: ((error?: Error) => void)[] = []

  writeHead(): void {}

  write(piece: string | Buffer, _encoding: string, taken?: (error?: Error) => void): void {
    this.pieces.push(piece)
    this.req.socket.writableLength += piece.length
    this.req.socket.bytesWritten += piece.length
    if (taken !== undefined) this.#waiting.push(taken)
  }

  end(): void {
    this.writableEnded = true
  }

  /** The reader takes everything, and what is written as it does. */
  takeAll(): void {
    do {
      this.req.socket.writableLength = 0
      for (const taken of this.#waiting.splice(0)) taken()
    } while (this.#waiting.length > 0)
  }

  /** Rings that were begun to be sent, by their epochs. */
  get epochs(): number[] {
    const text = this.pieces
      .map((piece) => (typeof piece === 'string' ? piece : piece.toString('latin1')))
      .join('')
    return [...text.matchAll(/^id: (\d+)$/gm)].map(([, epoch]) => Number(epoch))
  }
}

/** A watched ring of so many members, in virtual time. */
async function watchedRing(count: number) {
  const clock = new VirtualClock()
  const members = Array.from({ length: count }, (_, i) => fakeMember(`m-${i}`, `10.0.${i >> 8}.${i & 255}`))
  const { ring, source } = makeRing({ members, clock })
  await clock.during(1, ring.start())
  const parts = httpParts({ clock })
  const watch = new RingWatch({ ring, view: new CurrentView(ring), ...parts })
  const app = new EventEmitter()
  const open = () => {
    const res = new SlowResponse()
    watch.open({ app, req: { rawHeaders: [] }, res, method: 'GET' } as unknown as Koa.Context)
    return res
  }
  /** One ring after the other. */
  const change = async (times: number) => {
    for (let at = 0; at < times; at++) {
      const before = ring.manager.snapshot.epoch
      source.set(members.slice((before % (count - 1)) + 1))
      await clock.advance(1)
      expect(ring.manager.snapshot.epoch).toBe(before + 1)
    }
  }
  return { clock, ring, parts, open, change }
}

test('one that is behind gets one event for all the rings that came meanwhile: the newest', async () => {
  const { ring, open, change } = await watchedRing(5)
  const [quick, slow] = [open(), open()]
  quick.takeAll()
  expect([quick.epochs, slow.epochs]).toEqual([[1], [1]])
  await change(50)
  // The first piece of the first ring has not been taken.
  expect(slow.epochs).toEqual([1])
  slow.takeAll()
  expect(slow.epochs).toEqual([1, 51])
  slow.takeAll()
  await settle()
  expect([slow.epochs, ring.manager.snapshot.epoch]).toEqual([[1, 51], 51])
  // The quick one took nothing meanwhile either: it was written the second ring, and is behind from then on.
  expect(quick.epochs).toEqual([1, 2])
  quick.takeAll()
  expect(quick.epochs).toEqual([1, 2, 51])
})

test('one buffer of a ring serves all watchers, and counts once', async () => {
  const { parts, open, change } = await watchedRing(100)
  const watchers = Array.from({ length: 30 }, open)
  const buffers = () =>
    new Set(
      watchers.map(({ pieces }) => {
        const last = pieces.at(-1)
        if (!Buffer.isBuffer(last)) throw new Error('no buffer was written')
        return last.buffer
      }),
    )
  expect(buffers().size).toBe(1)
  const held = parts.ledger.counts().heldBytes.answer
  expect(held).toBeGreaterThan(100 * 50)
  expect(held).toBeLessThan(2 * 100 * 250)
  for (const watcher of watchers) watcher.takeAll()
  expect(parts.ledger.counts().heldBytes.answer).toBe(0)
  await change(1)
  expect(buffers().size).toBe(1)
  expect(parts.ledger.counts().heldBytes.answer).toBeLessThan(2 * held)
})

test('one that takes none of what waits for 15 s is cut; one that takes a little, or has nothing waiting, is not', async () => {
  const { clock, parts, open } = await watchedRing(5)
  const [deaf, slow, idle] = [open(), open(), open()]
  idle.takeAll()
  for (let second = 0; second < 14; second++) {
    await clock.advance(1000)
    slow.req.socket.writableLength -= 1
    idle.takeAll()
  }
  expect([deaf, slow, idle].map(({ destroyed }) => destroyed)).toEqual([false, false, false])
  for (let second = 0; second < 3; second++) {
    await clock.advance(1000)
    slow.req.socket.writableLength -= 1
    idle.takeAll()
  }
  expect([deaf, slow, idle].map(({ destroyed }) => destroyed)).toEqual([true, false, false])
  expect(parts.ledger.counts().closed['slow-reader']).toBe(1)
})
