import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { PHASES, type SlicePod } from '../../membership/kubernetes/slice-fixtures.ts'
import { HashRingWorld } from '../../rings/hash-ring-world.ts'
import { cacheFolder } from '../../support/cache-folder.ts'
import { COLLECTIONS } from '../../support/fake-kubernetes-api.ts'
import { cached, goSourceFingerprint, runGo } from '../../support/go-module.ts'

const run = promisify(execFile)
/** The receiver of Thanos and most of Prometheus: three minutes of processor time when Go's build cache has nothing of it. */
const BUILD_DEADLINE_MS = 1_700_000

/** What Thanos' own code makes of a file of hashrings. */
interface Reading {
  readonly error?: string
  readonly hashrings: Readonly<Record<string, readonly string[]>>
  /** How many of a thousand series each endpoint gets. */
  readonly series: Readonly<Record<string, number>>
}

/** The file that a HashRing publishes, read by the code of Thanos Receive. */
describe('a ring in the format of Thanos', () => {
  let reader: string
  let folder: string
  let world: HashRingWorld

  beforeAll(async () => {
    const source = join(import.meta.dirname, 'hashrings-reader')
    const path = join(cacheFolder(), `thanos-hashrings-${await goSourceFingerprint(source)}`)
    reader = await cached(path, async (executable) => {
      await runGo(source, ['build', '-ldflags', '-s -w', '-o', executable, '.'], BUILD_DEADLINE_MS)
    })
    folder = await mkdtemp(join(tmpdir(), 'ringman-thanos-'))
  }, BUILD_DEADLINE_MS + 20_000)
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true })
  })
  beforeEach(() => {
    world = new HashRingWorld()
  })

  const pods = (count: number, addressOf = (i: number) => `10.0.${i >> 8}.${i & 255}`): SlicePod[] =>
    Array.from({ length: count }, (_, i) => ({
      name: `receive-${i}`,
      address: addressOf(i),
      zone: `z${i % 3}`,
      ...PHASES.serving,
    }))

  /** The text in the ConfigMap of a HashRing with these pods. */
  async function published(of: readonly SlicePod[]): Promise<string> {
    world.putRing('thanos/receive', { service: { name: 'receive' }, publish: { format: 'Thanos' } })
    world.putSlice('thanos', 'receive', of)
    world.writer(await world.pod())
    await world.clock.advance(5000)
    const map = world.api.get(COLLECTIONS.configMaps, 'thanos/receive')
    const data = (map?.['data'] ?? {}) as Readonly<Record<string, string>>
    return data['hashrings.json'] ?? ''
  }

  async function read(text: string, algorithm: string): Promise<Reading> {
    const path = join(folder, 'hashrings.json')
    await writeFile(path, text)
    const { stdout } = await run(reader, [path, algorithm])
    return JSON.parse(stdout) as Reading
  }

  test.each(['ketama', 'hashmod'])(
    'is read by it with %s, and every endpoint gets series',
    async (algorithm) => {
      const text = await published(pods(20))
      const { error, hashrings, series } = await read(text, algorithm)
      expect(error).toBeUndefined()
      const endpoints = Array.from({ length: 20 }, (_, i) => `10.0.0.${i}:8000`)
      expect(hashrings['receive']?.toSorted()).toEqual(endpoints.toSorted())
      expect(Object.keys(series).toSorted()).toEqual(endpoints.toSorted())
    },
  )

  test('is read by it with a thousand endpoints', async () => {
    const { error, hashrings } = await read(await published(pods(1000)), 'ketama')
    expect(error).toBeUndefined()
    expect(hashrings['receive']).toHaveLength(1000)
  })

  test('may have one endpoint only', async () => {
    const { error, series } = await read(await published(pods(1)), 'ketama')
    expect([error, series]).toEqual([undefined, { '10.0.0.0:8000': 1000 }])
  })

  test('does not bear an empty hashring: that is why ringman never writes one', async () => {
    const { error } = await read(JSON.stringify([{ hashring: 'receive', endpoints: [] }]), 'ketama')
    expect(error).toContain('endpoints')
  })
})
