import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { afterAll, expect, test, vi } from 'vitest'
import { GOSSIP, serve, type TestProcess } from '../support/child-process.ts'
import { freePort } from '../support/free-port.ts'

/** Three processes as somebody starts them by hand; then one is killed, one stopped, both started again. */

const KEYS = Array.from({ length: 300 }, (_, i) => `user:${i}`)
const agent = new Agent({ keepAlive: true, maxSockets: 8 })
afterAll(() => {
  agent.destroy()
})

interface Member {
  readonly process: TestProcess
  readonly url: string
  readonly adminUrl: string
  /** `host:port`. */
  readonly gossip: string
}

async function start(
  running: AsyncDisposableStack,
  source: string,
  name: string,
  servicePort: number,
  seeds: readonly string[],
): Promise<Member> {
  const member = running.use(
    serve([
      '--source',
      source,
      ...GOSSIP,
      // Nobody else is to gossip where one was killed.
      '--gossip-port',
      String(await freePort()),
      '--drain',
      '6s',
      '--name',
      name,
      '--service-port',
      String(servicePort),
      '--seeds',
      seeds.join(','),
    ]),
  )
  const { http, admin, gossip } = await member.ready()
  return {
    process: member,
    url: http.url,
    adminUrl: admin.url,
    gossip: `${gossip.host}:${gossip.port}`,
  }
}

async function ask(url: string): Promise<{ readonly status: number; readonly text: string }> {
  const [response] = (await once(get(url, { agent }), 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk
  return { status: response.statusCode ?? 0, text }
}

async function ownersBy(member: Member): Promise<string[]> {
  const owners: string[] = []
  for (let at = 0; at < KEYS.length; at += 8) {
    const part = KEYS.slice(at, at + 8).map(async (key) => {
      const { status, text } = await ask(`${member.url}/v1/owner?key=${encodeURIComponent(key)}`)
      if (status !== 200) throw new Error(`${member.url} answered ${status}: ${text}`)
      return (JSON.parse(text) as { owner: { ringKey: string } }).owner.ringKey
    })
    owners.push(...(await Promise.all(part)))
  }
  return owners
}

async function ringOf(member: Member): Promise<string[]> {
  const { text } = await ask(`${member.url}/v1/ring`)
  return (JSON.parse(text) as { nodes: { ringKey: string }[] }).nodes.map(({ ringKey }) => ringKey).sort()
}

/** Waits until every one of them has exactly these nodes on its ring. */
async function untilRing(members: readonly Member[], ports: readonly number[]): Promise<void> {
  const nodes = ports.map((port) => `127.0.0.1:${port}`).sort()
  await vi.waitFor(
    async () => {
      expect(await Promise.all(members.map(ringOf))).toEqual(members.map(() => nodes))
    },
    { timeout: 60_000, interval: 20 },
  )
}

/** Asks `member` for owners without a pause until `stop` is called; nothing may fail meanwhile. */
function askConstantly(member: Member) {
  const failures: string[] = []
  let answers = 0
  const stopped = new AbortController()
  const over = (async () => {
    while (!stopped.signal.aborted) {
      const { status, text } = await ask(`${member.url}/v1/owner?key=${answers}`).catch((error: unknown) => ({
        status: 0,
        text: String(error),
      }))
      if (status === 200) answers++
      else failures.push(`${status} ${text}`)
    }
  })()
  return {
    async stop() {
      stopped.abort()
      await over
      return { answers, failures }
    },
  }
}

test.concurrent.each(['memberlist', 'swim'])(
  'three %s processes agree on every key, through a kill, an orderly stop and new starts',
  async (source) => {
    await using running = new AsyncDisposableStack()
    const join = (name: string, servicePort: number) => start(running, source, name, servicePort, [a.gossip])
    const a = await start(running, source, 'a', 8001, [])
    const [b, c] = await Promise.all([join('b', 8002), join('c', 8003)])
    await untilRing([a, b, c], [8001, 8002, 8003])
    const owners = await ownersBy(a)
    expect(new Set(owners).size).toBe(3)
    expect(await ownersBy(b)).toEqual(owners)
    expect(await ownersBy(c)).toEqual(owners)

    const asking = askConstantly(a)
    c.process.signal('SIGKILL')
    await untilRing([a, b], [8001, 8002])
    const afterKill = await ownersBy(a)
    expect(await ownersBy(b)).toEqual(afterKill)
    // Only the dead member's keys moved.
    expect(afterKill.filter((owner, i) => owner !== owners[i] && owners[i] !== '127.0.0.1:8003')).toEqual([])

    b.process.signal('SIGTERM')
    // It goes on answering while it drains, for the ring without itself.
    const draining = untilRing([b], [8001]).then(() => ask(`${b.adminUrl}/readyz`))
    const [{ status }] = await Promise.all([draining, untilRing([a], [8001])])
    expect(status).toBe(503)
    // It was told so, and has not found it out.
    const { causes } = await a.process.event('ring.changed', ({ removed }) =>
      String(removed).includes(':8002'),
    )
    expect(causes).toEqual({ left: 1 })
    expect(await b.process.ended).toEqual({ code: 0, signal: null })

    const [newB, newC] = await Promise.all([join('b', 8002), join('c', 8003)])
    await untilRing([a, newB, newC], [8001, 8002, 8003])
    for (const member of [a, newB, newC]) expect(await ownersBy(member)).toEqual(owners)

    const { answers, failures } = await asking.stop()
    expect(failures).toEqual([])
    expect(answers).toBeGreaterThan(100)
  },
)
