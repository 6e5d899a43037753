import { beforeAll, expect, test } from 'vitest'
import { buildImage } from '../../support/container-images.ts'
import { ContainerLab, untilAgreed, type MemberContainer } from '../../support/container-lab.ts'
import { requireContainerTools } from '../../support/containers.ts'
import { ServiceClient } from './service-client.ts'

const SIZE = 4

let image: string

beforeAll(async () => {
  requireContainerTools()
  image = (await buildImage()).name
})

/** Starts a member as the chart does: seeds by the name that stands for all, ready once it has seen most of them. */
function startMember(
  lab: ContainerLab,
  name: string,
  ringKey: string,
  env: Readonly<Record<string, string>> = {},
): Promise<MemberContainer> {
  return lab.start({
    name,
    aliases: ['ringman-gossip'],
    env: {
      RINGMAN_SEEDS: 'dns:ringman-gossip',
      RINGMAN_RING_KEY: ringKey,
      RINGMAN_MIN_MEMBERS: String(SIZE - 1),
      ...env,
    },
  })
}

async function startAll(
  lab: ContainerLab,
  prefix: string,
  ringKey: string,
  env: Readonly<Record<string, string>> = {},
): Promise<MemberContainer[]> {
  const names = Array.from({ length: SIZE }, (_, at) => `${prefix}-${at}`)
  const members = await Promise.all(names.map((name) => startMember(lab, name, ringKey, env)))
  await untilAgreed(members)
  return members
}

/** Ends a member in order; the client finds out by its probes alone. */
async function stopMember(client: ServiceClient, member: MemberContainer): Promise<void> {
  expect(await member.stop()).toBe(0)
  client.remove(member)
  client.gone.add(member.name)
  await member.remove()
}

function report(title: string, client: ServiceClient): void {
  console.log(
    `${title}: ${client.answered} look-ups answered by ${client.answeredBy.size} addresses, ` +
      `${client.failures.length} failed, the slowest took ${client.slowestMs.toFixed(0)} ms`,
  )
}

test('as a StatefulSet rolls: each stops, then comes back under its name at another address', async () => {
  await using lab = await ContainerLab.open(image)
  const members = await startAll(lab, 'ring', 'name')
  const first = members.map(({ address }) => address)
  const { digest } = await untilAgreed(members)
  const client = new ServiceClient()
  for (const member of members) client.add(member)
  await client.start()
  try {
    for (const [at, member] of members.entries()) {
      await stopMember(client, member)
      // The others may name it as soon as it runs, which podman tells later.
      client.gone.delete(member.name)
      const next = await startMember(lab, member.name, 'name')
      expect(next.address).not.toBe(member.address)
      client.add(next)
      members[at] = next
      // Like the controller, it waits for readiness and for nothing else.
      await next.untilReady()
    }
    for (const member of members) {
      await member.until('its first look-up', () => client.answeredBy.has(member.address))
    }
    expect((await untilAgreed(members)).digest).toBe(digest)
  } finally {
    await client.stop()
  }
  report('StatefulSet', client)
  expect(client.failures).toEqual([])
  // Every old container and every new one has answered, and every member has owned keys.
  expect(client.answeredBy.size).toBe(2 * SIZE)
  expect(client.owners.size).toBe(SIZE)
  expect(client.answered).toBeGreaterThan(1000)
  expect(members.map(({ address }) => address).filter((address) => first.includes(address))).toEqual([])
})

test('as a Deployment rolls: a new one is ready before an old one stops', async () => {
  await using lab = await ContainerLab.open(image)
  const old = await startAll(lab, 'old', 'address')
  const client = new ServiceClient()
  for (const member of old) client.add(member)
  await client.start()
  const replaced: MemberContainer[] = []
  try {
    for (const [at, member] of old.entries()) {
      const next = await startMember(lab, `new-${at}`, 'address')
      client.add(next)
      await next.untilReady()
      replaced.push(next)
      await stopMember(client, member)
    }
    await untilAgreed(replaced)
  } finally {
    await client.stop()
  }
  report('Deployment', client)
  expect(client.failures).toEqual([])
  expect(client.answeredBy.size).toBe(2 * SIZE)
  expect(client.owners.size).toBe(2 * SIZE)
  expect(client.answered).toBeGreaterThan(1000)
})

test('the client sees what goes wrong: without a drain time, look-ups fail', async () => {
  await using lab = await ContainerLab.open(image)
  const members = await startAll(lab, 'ring', 'name', { RINGMAN_DRAIN: '0' })
  const client = new ServiceClient()
  for (const member of members) client.add(member)
  await client.start()
  try {
    for (const member of members.slice(1)) await stopMember(client, member)
  } finally {
    await client.stop()
  }
  report('Without drain', client)
  expect(client.failures).not.toEqual([])
})
