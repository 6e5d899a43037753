import { setTimeout as wait } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { GOSSIP, serve, type TestProcess } from '../../support/child-process.ts'

const running: TestProcess[] = []

async function start(name: string, servicePort: number, seeds: readonly string[]) {
  const member = serve([
    ...GOSSIP,
    '--unsure-after',
    '1500ms',
    '--name',
    name,
    '--service-port',
    String(servicePort),
    '--seeds',
    seeds.join(','),
  ])
  running.push(member)
  const { http, gossip } = await member.ready()
  return { member, url: http.url, gossip: `${gossip.host}:${gossip.port}` }
}

test('a member that was stopped learns that it was off the ring', async () => {
  try {
    const first = await start('first', 8001, [])
    const second = await start('second', 8002, [first.gossip])
    const { member, url } = await start('third', 8003, [first.gossip])
    await first.member.event('ring.changed', ({ nodes }) => nodes === 3)
    // What is said of a member right after its start is not believed.
    await wait(10_500)
    const before = (await (await fetch(`${url}/v1/ring`)).json()) as { epoch: number; digest: string }
    const watching = await fetch(`${url}/v1/ring/watch`)
    member.signal('SIGSTOP')
    for (const other of [first, second])
      await other.member.event('ring.changed', ({ removed }) => String(removed).includes(':8003'))
    // Asked now, it answers as soon as it goes on: it may hear of the others at any moment after that.
    const asked = fetch(`${url}/v1/owner?key=k`)
    // A suspicion that still waits to be sent would be refuted before anybody tells it that it is dead.
    await wait(1000)
    member.signal('SIGCONT')
    const answer = await asked
    expect([answer.status, answer.headers.get('ringman-unsure')]).toEqual([200, 'true'])
    const { from, to, stalled } = await member.event('ring.rejoined')
    expect(stalled).toBe(true)
    expect(Date.parse(String(to)) - Date.parse(String(from))).toBeGreaterThan(1500)
    const after = (await (await fetch(`${url}/v1/ring`)).json()) as { epoch: number; digest: string }
    expect(after).toMatchObject({ epoch: before.epoch + 1, digest: before.digest })
    const events = []
    const decoder = new TextDecoder()
    for await (const chunk of watching.body ?? []) {
      events.push(decoder.decode(chunk as Uint8Array))
      if (events.join('').includes(`id: ${after.epoch}\n`)) break
    }
    await vi.waitFor(async () => {
      expect((await fetch(`${url}/v1/owner?key=k`)).headers.get('ringman-unsure')).toBeNull()
    }, 60_000)
  } finally {
    for (const member of running) {
      member.signal('SIGCONT')
      await member[Symbol.asyncDispose]()
    }
  }
})
