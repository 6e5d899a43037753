/**
 * Measures one contender at one task, in a process of its own so that no other's types and garbage disturb it:
 * `node bench/ring/contender.ts ours|ours-mixed|npm TASK SIZE [MILLISECONDS]`.
 *
 * `ours-mixed` is ours after a million look-ups of keys of other kinds (long, not ASCII, bytes, joined strings), as
 * a service sees them: it shows that the hot path stays optimised.
 */
import { createRequire } from 'node:module'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { systemClock } from '../../src/clock.ts'
import { assertNever } from '../../src/errors.ts'
import { HashRingManager } from '../../src/manager/hash-ring-manager.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import {
  CHECKED_KEYS,
  KEY_COUNT,
  makeKeys,
  makeRingKey,
  makeRingKeys,
  medianOf,
  type Change,
  type LookUp,
  type Measurement,
  type Task,
} from './cases.ts'

/** One call of each task; what it returns is looked at, so that nothing can be left out. */
interface Contender {
  readonly owner: (key: string) => string
  readonly owners3: (key: string) => readonly unknown[]
  readonly manager?: (key: string) => unknown
  readonly add: () => unknown
  readonly remove: () => unknown
  /** How many points there are. */
  readonly points: () => number
  /** Bytes that all arrays with an entry for each point take, where the contender can tell. */
  readonly pointBytes?: () => number
}

function makeOurs(size: number): Contender {
  const ring = HashRing.of(makeRingKeys(size).map((ringKey) => ({ ringKey, weight: 1 })))
  let manager: HashRingManager | undefined
  const [newcomer, leaver] = [{ ringKey: makeRingKey(size), weight: 1 }, makeRingKey(Math.floor(size / 2))]
  return {
    owner: (key) => ring.ownerOf(key)!.ringKey,
    owners3: (key) => ring.ownersOf(key, 3),
    manager: (key) => {
      if (manager === undefined) {
        manager = new HashRingManager({ clock: systemClock, nodes: ring.nodes })
        void manager.run()
      }
      return manager.getNode(key)
    },
    add: () => ring.add(newcomer),
    remove: () => ring.remove(leaver),
    points: () => ring.pointCount,
    pointBytes: () => ring.sizeBytes,
  }
}

/** Leaves the ring's code with all kinds of keys in its type feedback. */
function mixKeys({ owner, manager, owners3 }: Contender): void {
  let joined = 'user:'
  const kinds = ['x'.repeat(80), 'clé-à-molette', '節点', 'é'.repeat(3000), '', 'a', '\ud83d', 'x'.repeat(55)]
  for (let i = 0; i < 100_000; i++) {
    joined = `${joined.slice(0, 30)}${i}`
    for (const key of [joined, kinds[i % kinds.length]!, Buffer.from(`bytes-${i}`) as unknown as string]) {
      owner(key)
      owners3(key)
      manager?.(key)
    }
  }
}

interface NpmHashRing {
  get(key: string): string
  range(key: string, size: number): string[]
  add(server: string): NpmHashRing
  remove(server: string): NpmHashRing
  readonly size: number
  cache: { get(): undefined; set(): void; reset(): void }
}

function makeNpm(size: number): Contender {
  const Ring = createRequire(import.meta.url)('hashring') as new (
    servers: readonly string[],
    algorithm: string,
    options: Readonly<Record<string, unknown>>,
  ) => NpmHashRing
  const ring = new Ring(makeRingKeys(size), 'md5', { compatibility: 'hash_ring' })
  // A cache that never hits and takes no time either: what is measured is the ring.
  ring.cache = { get: () => undefined, set: () => {}, reset: () => {} }
  const [newcomer, leaver] = [makeRingKey(size), makeRingKey(Math.floor(size / 2))]
  let grown = false
  let shrunk = false
  return {
    owner: (key) => ring.get(key),
    owners3: (key) => ring.range(key, 3),
    // It changes in place, so each call undoes the last one's change; either way it makes the ring anew.
    add: () => {
      grown = !grown
      return grown ? ring.add(newcomer) : ring.remove(newcomer)
    },
    remove: () => {
      shrunk = !shrunk
      return shrunk ? ring.remove(leaver) : ring.add(leaver)
    },
    points: () => ring.size,
  }
}

/** How many samples one measurement takes; their median leaves out those that the machine disturbed. */
const SAMPLES = 10

/** Runs `pass` for a while. @returns Nanoseconds per call, the median of {@link SAMPLES} samples. */
function time(forMs: number, callsPerPass: number, pass: () => void): number {
  const samples = Array.from({ length: SAMPLES }, () => {
    const startMs = performance.now()
    let passes = 0
    let elapsedMs: number
    do {
      pass()
      passes++
      elapsedMs = performance.now() - startMs
    } while (elapsedMs < forMs / SAMPLES)
    return (elapsedMs * 1e6) / (passes * callsPerPass)
  })
  return medianOf(samples)
}

/** Each pass takes so many of the keys, the next ones: a pass over all of them takes npm hashring half a second. */
const KEYS_PER_PASS = KEY_COUNT / 16

function makePass(contender: Contender, task: LookUp | Change, keys: readonly string[]): () => void {
  const { owner, owners3, manager, add, remove } = contender
  let at = 0
  const next = () => {
    const from = at
    at = (at + KEYS_PER_PASS) % keys.length
    return from
  }
  switch (task) {
    case 'owner':
      return () => {
        const from = next()
        for (let i = from; i < from + KEYS_PER_PASS; i++) {
          if (owner(keys[i]!) === '') throw new Error('no owner')
        }
      }
    case 'owners3':
      return () => {
        const from = next()
        for (let i = from; i < from + KEYS_PER_PASS; i++) {
          if (owners3(keys[i]!).length !== 3) throw new Error('not three owners')
        }
      }
    case 'manager':
      if (manager === undefined) throw new Error('this contender has no manager')
      return () => {
        const from = next()
        for (let i = from; i < from + KEYS_PER_PASS; i++) {
          if (manager(keys[i]!) === undefined) throw new Error('no owner')
        }
      }
    case 'add':
    case 'remove': {
      const change = task === 'add' ? add : remove
      return () => {
        if (change() === undefined) throw new Error('no ring')
      }
    }
    default:
      return assertNever(task)
  }
}

function checksum({ owner }: Contender, keys: readonly string[], size: number): number {
  const places = new Map(makeRingKeys(size).map((ringKey, i) => [ringKey, i]))
  let sum = 0
  for (let i = 0; i < CHECKED_KEYS; i++) sum += (places.get(owner(keys[i]!))! + 1) * (i + 1)
  return sum
}

/** Points that are weighed together, so that single objects weigh nothing beside them. */
const WEIGHED_POINTS = 1_000_000

/** What stays in memory with a ring, per point: everything, and what is kept for each point alone. */
function measureMemory(make: () => Contender): Measurement {
  // The first ones bring their code and its feedback along; only later ones are weighed.
  const { points, pointBytes } = make()
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const weigh = () => {
    collect()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  const rings = Array.from<Contender | undefined>({ length: Math.ceil(WEIGHED_POINTS / points()) })
  rings.fill(undefined)
  const before = weigh()
  for (let i = 0; i < rings.length; i++) rings[i] = make()
  const bytes = weigh() - before
  const weighed = rings.reduce((sum, ring) => sum + ring!.points(), 0)
  return {
    bytesPerPoint: bytes / weighed,
    ...(pointBytes === undefined ? {} : { arrayBytesPerPoint: pointBytes() / points() }),
  }
}

function measure(name: string, task: Task, size: number, forMs: number): Measurement {
  const make = () => (name === 'npm' ? makeNpm(size) : makeOurs(size))
  if (task === 'memory') return measureMemory(make)
  const contender = make()
  const keys = task === 'add' || task === 'remove' ? [] : makeKeys()
  if (name === 'ours-mixed') mixKeys(contender)
  const pass = makePass(contender, task, keys)
  const callsPerPass = task === 'add' || task === 'remove' ? 1 : KEYS_PER_PASS
  time(forMs / 2, callsPerPass, pass)
  const ns = time(forMs, callsPerPass, pass)
  return task === 'owner' ? { ns, checksum: checksum(contender, keys, size) } : { ns }
}

const [name, task, size, forMs] = process.argv.slice(2) as [string, Task, string, string?]
console.log(JSON.stringify(measure(name, task, Number(size), Number(forMs ?? 400))))
process.exit()
