import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildImage } from '../../support/container-images.ts'
import { ContainerLab, untilAgreed, type MemberContainer } from '../../support/container-lab.ts'
import { requireContainerTools } from '../../support/containers.ts'

const NAMES = ['ring-0', 'ring-1', 'ring-2', 'ring-3', 'ring-4'] as const
const KEYS = Array.from({ length: 500 }, (_, at) => `user:${at}`)

/** The name that stands for all of them, as that of a headless Service does. */
const ALIAS = 'ringman-gossip'

const ENV = { RINGMAN_SEEDS: `dns:${ALIAS}`, RINGMAN_RING_KEY: 'name', RINGMAN_LABEL: 'test/ring' }

let image: string
let lab: ContainerLab
const members = new Map<string, MemberContainer>()

beforeAll(async () => {
  requireContainerTools()
  image = (await buildImage()).name
  lab = await ContainerLab.open(image)
  await Promise.all(NAMES.map((name) => startMember(name)))
})

afterAll(async () => {
  await lab?.[Symbol.asyncDispose]()
})

async function startMember(name: string): Promise<MemberContainer> {
  const started = await lab.start({ name, aliases: [ALIAS], env: { ...ENV, RINGMAN_MIN_MEMBERS: '3' } })
  members.set(name, started)
  return started
}

function member(name: string): MemberContainer {
  const found = members.get(name)
  if (found === undefined) throw new Error(`there is no ${name}`)
  return found
}

/** All of them, or all but some. */
function everybody(except: readonly string[] = []): MemberContainer[] {
  return [...members.values()].filter(({ name }) => !except.includes(name))
}

/** The owner of each key, by name, as a member says. */
async function ownersBy(asked: MemberContainer): Promise<string[]> {
  const body = JSON.stringify({ keys: KEYS, n: 1 })
  const headers = { 'content-type': 'application/json' }
  const answer = (await asked.ask('/v1/owners', { method: 'POST', body, headers })) as {
    nodes: { name: string }[]
    owners: number[][]
  }
  return answer.owners.map(([index = -1]) => answer.nodes[index]?.name ?? 'nobody')
}

/** Waits until all of `asked` reach `name` at `address`. @returns Milliseconds. */
async function untilAddress(
  asked: readonly MemberContainer[],
  name: string,
  address: string,
): Promise<number> {
  const startedMs = performance.now()
  for (const one of asked) {
    await one.until(`${name} at ${address}`, async () => {
      // The one that has just been started may not listen yet.
      const nodes = (await one.ring().catch(() => undefined))?.nodes ?? []
      return nodes.some((node) => node.name === name && node.address === address)
    })
  }
  return performance.now() - startedMs
}

/** The names that a member took off its ring since a time, in wall-clock milliseconds. */
async function removedSince(asked: MemberContainer, sinceMs: number): Promise<unknown[]> {
  return (await asked.events())
    .filter(({ event, time }) => event === 'ring.changed' && Date.parse(String(time)) >= sinceMs)
    .flatMap(({ removed }) => removed as unknown[])
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`

describe('containers with one DNS name for all', () => {
  let digest = ''
  let owners: string[] = []

  test('form one ring and agree on every key', async () => {
    for (const one of everybody()) await one.untilReady()
    const agreed = await untilAgreed(everybody())
    digest = agreed.digest
    owners = await ownersBy(member('ring-0'))
    expect(new Set(owners)).toEqual(new Set(NAMES))
    for (const one of everybody()) expect(await ownersBy(one), one.name).toEqual(owners)
    const addresses = everybody().map(({ address }) => address)
    expect(new Set(addresses).size).toBe(NAMES.length)
    const { nodes } = await member('ring-1').ring()
    expect(nodes.map(({ address }) => address).sort()).toEqual(addresses.sort())
  })

  test('notice a death, and only the keys of the dead move', async () => {
    await member('ring-4').signal('SIGKILL')
    const rest = everybody(['ring-4'])
    const { tookMs } = await untilAgreed(rest)
    console.log(`Killed one of five: gone from every ring after ${seconds(tookMs)}`)
    const after = await ownersBy(member('ring-0'))
    expect(after).not.toContain('ring-4')
    for (const [at, owner] of owners.entries()) if (owner !== 'ring-4') expect(after[at]).toBe(owner)
    for (const one of rest) expect(await one.isReady(), one.name).toBe(true)
  })

  test('take the dead back at another address, with the same keys', async () => {
    const before = member('ring-4').address
    await member('ring-4').remove()
    const back = await startMember('ring-4')
    expect(back.address).not.toBe(before)
    const { tookMs } = await untilAgreed(everybody())
    await untilAddress(everybody(), 'ring-4', back.address)
    console.log(`Back at another address: on every ring ${seconds(tookMs)} after podman had started it`)
    expect((await back.ring()).digest).toBe(digest)
    for (const one of everybody()) expect(await ownersBy(one), one.name).toEqual(owners)
  })

  test('follow one that comes back at another address before its death was noticed', async () => {
    const before = member('ring-3').address
    const sinceMs = Date.now()
    await member('ring-3').remove()
    const back = await startMember('ring-3')
    expect(back.address).not.toBe(before)
    const tookMs = await untilAddress(everybody(), 'ring-3', back.address)
    console.log(`Replaced at once: every ring has the new address after ${seconds(tookMs)}`)
    expect((await untilAgreed(everybody())).digest).toBe(digest)
    // Whoever kept its place in between has moved no key at all; nobody else has gone.
    for (const one of everybody(['ring-3'])) {
      const removed = await removedSince(one, sinceMs)
      expect(
        removed.filter((name) => name !== 'ring-3'),
        one.name,
      ).toEqual([])
    }
  })

  test('do without one that is paused, and have it back when it goes on', async () => {
    const sinceMs = Date.now()
    await member('ring-2').pause()
    const gone = await untilAgreed(everybody(['ring-2']))
    expect(gone.digest).not.toBe(digest)
    await member('ring-2').unpause()
    const back = await untilAgreed(everybody())
    expect(back.digest).toBe(digest)
    console.log(`Paused: gone after ${seconds(gone.tookMs)}; on again: back after ${seconds(back.tookMs)}`)
    for (const one of everybody()) expect(await ownersBy(one), one.name).toEqual(owners)
    // The paused one may suspect others, whose answers it has missed; nobody else may.
    for (const one of everybody(['ring-2'])) {
      expect(new Set(await removedSince(one, sinceMs)), one.name).toEqual(new Set(['ring-2']))
    }
  })

  test('survive the death of most of them, and one of the rest is enough to find together again', async () => {
    const dead = ['ring-0', 'ring-1', 'ring-2', 'ring-3'] as const
    await Promise.all(dead.map((name) => member(name).signal('SIGKILL')))
    await Promise.all(dead.map((name) => member(name).remove()))
    await Promise.all(dead.map((name) => startMember(name)))
    expect((await untilAgreed(everybody())).digest).toBe(digest)
    for (const one of everybody()) await one.untilReady()
  })
})

test('an encrypted keyring, mounted read-only, keeps out who does not have it', async () => {
  await using encrypted = await ContainerLab.open(image)
  const folder = mkdtempSync(join(tmpdir(), 'ringman-keyring-'))
  try {
    const { out } = await encrypted.command(['keygen'])
    expect(Buffer.from(out, 'base64')).toHaveLength(32)
    writeFileSync(join(folder, 'keyring'), out, { mode: 0o644 })
    const mount = ['--volume', `${folder}/keyring:/etc/ringman/keyring:ro`]
    const seeds = { RINGMAN_SEEDS: 'dns:keyed', RINGMAN_RING_KEY: 'name' }
    const keyed = { ...seeds, RINGMAN_KEYRING_FILE: '/etc/ringman/keyring' }
    const inside = await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        encrypted.start({ name, aliases: ['keyed'], env: keyed, podmanArgs: mount }),
      ),
    )
    const outside = await encrypted.start({ name: 'outsider', env: seeds })
    await untilAgreed(inside)
    await outside.until('it has been refused', async () => (await outside.log()).includes('"seed.failed"'))
    await untilAgreed(inside)
    await untilAgreed([outside])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
