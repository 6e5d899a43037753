import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { generateKey } from '../../src/membership/memberlist/keyring.ts'
import { LiveMember } from './live-member.ts'
import { mutate, SeededRandom } from './wire-fuzz-mutate.ts'

const CASES = Number(process.env['RINGMAN_HOSTILE_CASES'] ?? 200_000)
const SEED = Number(process.env['RINGMAN_HOSTILE_SEED'] ?? Date.now() % 2 ** 32)
const MIB = 1024 * 1024

interface Recording {
  readonly plain: readonly { readonly proto: 'tcp' | 'udp'; readonly hex: string }[]
}
const recording = JSON.parse(
  readFileSync(new URL('../golden/wire.json', import.meta.url), 'utf8'),
) as Recording
const samples = (proto: 'tcp' | 'udp') =>
  recording.plain.filter((entry) => entry.proto === proto).map(({ hex }) => Buffer.from(hex, 'hex'))

/** The length of an encrypted packet's version and nonce. */
const CIPHER_HEAD_BYTES = 13

test.each([
  // Whatever changes this one's ring got in by a fault: nobody here has its key.
  ['a keyed member up and its ring unchanged', true],
  // This one takes what is well-formed; it must only live on, and answer.
  ['an open member up', false],
])(
  `${CASES} random and mutated datagrams and streams leave %s, its memory flat (seed ${SEED})`,
  async (_, keyed) => {
    const folder = await mkdtemp(join(tmpdir(), 'ringman-hostile-'))
    try {
      const keyring = join(folder, 'keyring')
      await writeFile(keyring, generateKey())
      await using member = await LiveMember.start('memberlist', ...(keyed ? ['--keyring-file', keyring] : []))
      const before = await member.ring()
      const chance = new SeededRandom(SEED)
      const packets = samples('udp')
      const streams = samples('tcp')
      const socket = createSocket('udp4')
      const attack = async (cases: number) => {
        for (let i = 0; i < cases; i++) {
          socket.send(makeDatagram(chance, packets), member.gossipPort, '127.0.0.1')
          if (i % 64 === 0) await turn()
          if (i % 200 === 0)
            await throwStream(member.gossipPort, mutate(chance, chance.pick(streams), chance.pick(streams)))
        }
      }
      await attack(CASES / 4)
      const warmBytes = member.residentBytes
      await attack((CASES * 3) / 4)
      socket.close()
      const after = await member.ring()
      console.info(
        `resident: ${(warmBytes / MIB).toFixed(1)} MiB, then ${(member.residentBytes / MIB).toFixed(1)} MiB`,
      )
      if (keyed) expect(after).toMatchObject({ digest: before.digest, epoch: before.epoch })
      expect(member.residentBytes - warmBytes).toBeLessThan(48 * MIB)
      // Floods of drops make no flood of lines.
      expect(member.process.events.filter(({ event }) => event === 'gossip.dropped').length).toBeLessThan(500)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
)

function makeDatagram(chance: SeededRandom, packets: readonly Buffer[]): Uint8Array {
  switch (chance.below(4)) {
    case 0:
      return chance.bytes(chance.below(600))
    case 1:
      // Looks encrypted.
      return Buffer.concat([
        Buffer.from([chance.below(2)]),
        chance.bytes(CIPHER_HEAD_BYTES + 16 + chance.below(600)),
      ])
    default:
      return mutate(chance, chance.pick(packets), chance.pick(packets))
  }
}

/** Sends bytes on a connection of its own, some of them slowly, and goes away. */
function throwStream(port: number, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.end(bytes)
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      resolve()
    })
    setTimeout(() => socket.destroy(), 200).unref()
    socket.resume()
  })
}
