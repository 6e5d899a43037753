import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { buildGoProgram } from '../../../lab/peers/go-program.ts'
import { FAR_REACHING, NEWS_MS, startMixed, textsOf } from './mixed-cluster.ts'

beforeAll(async () => {
  await buildGoProgram('memberlist-peer')
})

/** What the Go peer hands over as its state. */
function goState(sizeBytes: number): Uint8Array {
  return Uint8Array.from({ length: sizeBytes }, (_, i) => i)
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

describe('the application of a Go member and of ours', () => {
  test('exchange messages over UDP and TCP, both ways', async () => {
    await using stack = new AsyncDisposableStack()
    const { go, ours } = await startMixed(stack, { ours: { settings: FAR_REACHING } })
    await go[0]!.send('r1', 'from Go over UDP ✓', false)
    await go[0]!.send('r1', 'from Go over TCP ✓', true)
    await ours[0]!.until('both messages', () => ours[0]!.messages.length >= 2, NEWS_MS)
    expect(ours[0]!.messages.toSorted()).toEqual(['from Go over TCP ✓', 'from Go over UDP ✓'])

    expect(await ours[0]!.send('g1', 'from ours over TCP ✓')).toEqual({ outcome: 'sent' })
    expect(await ours[0]!.broadcast('from ours to all ✓')).toBe('sent')
    await Promise.all([
      ...go.map((peer) =>
        peer.process.until('the broadcast', () => textsOf(peer).includes('from ours to all ✓'), NEWS_MS),
      ),
      ...ours
        .slice(1)
        .map((our) => our.until('the broadcast', () => our.messages.includes('from ours to all ✓'), NEWS_MS)),
    ])
    await go[0]!.process.until('the message', () => textsOf(go[0]!).includes('from ours over TCP ✓'), NEWS_MS)
  })

  test('a message of 1 MiB goes over TCP from ours to Go', async () => {
    await using stack = new AsyncDisposableStack()
    const { go, ours } = await startMixed(stack, { each: 1 })
    const text = 'x'.repeat(1 << 20)
    expect(await ours[0]!.send('g1', text)).toEqual({ outcome: 'sent' })
    await go[0]!.process.until('the message', () => textsOf(go[0]!).includes(text), NEWS_MS)
  })

  test('exchange state in push/pull, both ways', async () => {
    await using stack = new AsyncDisposableStack()
    const userState = new TextEncoder().encode(JSON.stringify(Array.from({ length: 20_000 }, (_, i) => i)))
    const { go, ours } = await startMixed(stack, {
      each: 1,
      go: { userStateBytes: 100_000 },
      ours: { userState },
    })
    // Ours joined through Go's, which answered with its own.
    await ours[0]!.until('the state of Go', () => ours[0]!.states.length > 0, NEWS_MS)
    expect(ours[0]!.states[0]).toEqual({ sizeBytes: 100_000, sha256: sha256(goState(100_000)), join: true })
    const heard = () => go[0]!.process.lines.flatMap((line) => (line.type === 'state' ? [line.fields] : []))
    await go[0]!.process.until('our state', () => heard().length > 0, NEWS_MS)
    expect(heard()[0]).toEqual({ sizeBytes: userState.length, sha256: sha256(userState), join: true })
    // And the other way round, when Go begins.
    const [before, beforeOurs] = [heard().length, ours[0]!.states.length]
    await go[0]!.join(ours[0]!.gossipAddress)
    await go[0]!.process.until('our state again', () => heard().length > before, NEWS_MS)
    await ours[0]!.until('the state of Go again', () => ours[0]!.states.length > beforeOurs, NEWS_MS)
    expect(heard().at(-1)).toEqual({ sizeBytes: userState.length, sha256: sha256(userState), join: true })
  })
})
