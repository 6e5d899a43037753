import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { serveRing } from '../http/running-ring.ts'
import { ringman, serve, type TestProcess } from '../support/child-process.ts'
import { fakeMember } from '../support/fake-source.ts'
import { freePort } from '../support/free-port.ts'
import { runMain } from '../support/recording-terminal.ts'

let member: TestProcess
let env: { RINGMAN_URL: string }
let url: string

const serveListed = (members: string, ...more: string[]) =>
  serve(['--source', 'static', '--static-members', members, ...more])

beforeAll(async () => {
  member = serveListed('10.0.0.1:8000,10.0.0.2:8000=3')
  url = (await member.ready()).http.url
  env = { RINGMAN_URL: url }
})
afterAll(async () => {
  await member[Symbol.asyncDispose]()
})

describe('get', () => {
  test('prints the owner, and as many owners as asked for', async () => {
    const one = await runMain(['get', 'user:42'], env)
    expect(one).toMatchObject({ code: 0, err: '' })
    expect(one.out).toMatch(/^10\.0\.0\.[12]:8000\n$/)
    const two = await runMain(['get', 'user:42', '-n', '2'], env)
    expect(two.out.split('\n')[0]).toBe(one.out.trim())
    expect(two.out.trimEnd().split('\n').sort()).toEqual(['10.0.0.1:8000', '10.0.0.2:8000'])
  })

  test('prints JSON', async () => {
    const { out } = await runMain(['get', 'user:42', '--json', '--url', url])
    expect(JSON.parse(out)).toMatchObject({
      owner: { weight: expect.any(Number) as number },
      digest: expect.any(String) as string,
    })
    const owners = await runMain(['get', 'user:42', '-n', '2', '--json'], env)
    expect((JSON.parse(owners.out) as { owners: unknown[] }).owners).toHaveLength(2)
  })

  test('takes any key, also one that looks like a flag, and refuses an empty one', async () => {
    expect((await runMain(['get', '--', '--json'], env)).out).toMatch(/^10\./)
    for (const at of [env, { RINGMAN_URL: '127.0.0.1:1' }]) {
      expect(await runMain(['get', ''], at)).toMatchObject({
        code: 2,
        out: '',
        err: 'ringman: the key is empty\n',
      })
    }
  })
})

test('nodes lists the members', async () => {
  const { code, out } = await runMain(['nodes'], env)
  expect(code).toBe(0)
  expect(out).toMatch(/^MEMBER/)
  expect(out).toMatch(/10\.0\.0\.1:8000 +alive +\d+s +10\.0\.0\.1:8000 +1/)
  const { members } = JSON.parse((await runMain(['nodes', '--json'], env)).out) as {
    members: { state: string }[]
  }
  expect(members.map(({ state }) => state)).toEqual(['alive', 'alive'])
})

test('ring shows shares as bars, the larger first', async () => {
  const { code, out } = await runMain(['ring'], env)
  expect(code).toBe(0)
  const [, first = '', second = ''] = out.split('\n')
  expect(first).toMatch(/^10\.0\.0\.2:8000 .*3 +\d\d\.\d% +█/)
  expect(second).toMatch(/^10\.0\.0\.1:8000 .*1 +\d\d\.\d% +█/)
  expect(first.length).toBeGreaterThan(second.length)
  const { nodes } = JSON.parse((await runMain(['ring', '--json'], env)).out) as { nodes: { share: number }[] }
  expect(nodes.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9)
})

test('plan says what would move', async () => {
  const { code, out } = await runMain(['plan', '--leave', '10.0.0.1:8000'], env)
  expect(code).toBe(0)
  expect(out).toMatch(/^\d+\.\d% of all keys would move/)
  expect(out).toMatch(/10\.0\.0\.1:8000 +10\.0\.0\.2:8000/)
  const joined = await runMain(
    ['plan', '--join', '10.0.0.9:8000=2', '--weight', '10.0.0.1:8000=5', '--json'],
    env,
  )
  expect((JSON.parse(joined.out) as { movedShare: number }).movedShare).toBeGreaterThan(0)
  expect(await runMain(['plan', '--leave', '10.9.9.9:1'], env)).toMatchObject({
    code: 2,
    out: '',
    err: expect.stringMatching(/cannot leave .*; `ringman nodes` lists those that there are\n$/) as string,
  })
})

test('plan refuses what asks for nothing, and a node without the port that ring keys have', async () => {
  const nothing = await runMain(['plan'], env)
  expect(nothing).toMatchObject({ code: 2, out: '' })
  expect(nothing.err).toContain('--leave, --join or --weight')
  for (const entry of ['10.0.0.9', '10.0.0.9=2']) {
    const { code, err } = await runMain(['plan', '--join', entry], env)
    expect([code, err]).toEqual([2, expect.stringContaining('has no port: ring keys are IP:PORT here')])
  }
})

test('plan says that nobody would be left, and what --weight takes', async () => {
  const { code, out } = await runMain(['plan', '--leave', '10.0.0.1:8000,10.0.0.2:8000'], env)
  expect([code, out]).toEqual([
    0,
    expect.stringMatching(
      /^100\.0% of all keys would move\nThe ring would be empty: nobody would own a key\n\n/,
    ),
  ])
  const some = await runMain(['plan', '--leave', '10.0.0.1:8000'], env)
  expect(some.out).not.toContain('empty')
  expect(await runMain(['plan', '--weight', 'node2'], env)).toEqual({
    code: 2,
    out: '',
    err: 'ringman: --weight takes NODE=WEIGHT, got "node2"\n',
  })
})

test('plan takes and shows names', async () => {
  await using served = await serveRing()
  await expect.poll(() => served.ring.manager.snapshot.ring.nodes).toHaveLength(3)
  const at = ['--url', `127.0.0.1:${served.server.port}`]
  const byName = await runMain(['plan', '--leave', 'node1', '--weight', 'node2=3', ...at])
  expect(byName).toMatchObject({ code: 0, err: '' })
  expect(byName.out).toMatch(/127\.0\.0\.1:8000 \(node1\) +127\.0\.0\.[23]:8000 \(node[23]\)/)
  const byKey = await runMain(['plan', '--leave', '127.0.0.1:8000', '--weight', '127.0.0.2:8000=3', ...at])
  expect(byKey.out).toBe(byName.out)
})

test('a member is asked at HOST:PORT as at its URL, and the admin port says what it is', async () => {
  const place = url.replace('http://', '')
  expect(await runMain(['get', 'user:42', '--url', place])).toEqual(await runMain(['get', 'user:42'], env))
  const { admin } = await member.ready()
  const { code, err } = await runMain(['get', 'user:42', '--url', admin.url])
  expect([code, err]).toEqual([2, expect.stringContaining('this is the admin port')])
  expect(await runMain(['nodes', '--url', 'ftp://x'])).toMatchObject({ code: 2 })
})

test('watch prints the ring and ends with Ctrl-C', async () => {
  await using watch = ringman(['watch', '--url', url])
  await watch.until('the ring', () => watch.outLines.find((line) => line.includes('2 nodes')))
  watch.signal('SIGINT')
  expect(await watch.ended).toEqual({ code: 0, signal: null })
  expect(watch.err).toBe('')
})

test('watch --node says what the node owns, then what it gains and loses', async () => {
  const onePort = ['--http-port', String(await freePort())]
  await using first = serveListed('10.0.0.1:1,10.0.0.2:1', ...onePort)
  const { url: firstUrl } = (await first.ready()).http
  await using watch = ringman(['watch', '--node', '10.0.0.1:1', '--url', firstUrl])
  await using asJson = ringman(['watch', '--node', '10.0.0.2:1', '--json', '--url', firstUrl])
  const line = await watch.until('what it owns', () => watch.outLines.find((each) => each.includes('owns')))
  expect(line).toMatch(/10\.0\.0\.1:1 owns [\d.]+%  digest [0-9a-f]{16}  \+[\d.]+% in \d+ stretches/)
  await asJson.until('what it owns', () => asJson.events.at(0))
  first.signal('SIGTERM')
  await first.ended
  await using second = serveListed('10.0.0.1:1', ...onePort)
  await second.ready()
  await watch.until('all', () => watch.outLines.find((each) => each.includes('owns 100')))
  const lost = await asJson.until('the loss', () => asJson.events.find(({ ringKey }) => ringKey === null))
  expect(lost).toMatchObject({
    node: '10.0.0.2:1',
    share: 0,
    gained: [],
    before: asJson.events[0]?.['after'],
  })
  expect((lost['lost'] as { to: string }[]).every(({ to }) => to === '10.0.0.1:1')).toBe(true)
})

test('watch says which node has another weight', async () => {
  const onePort = ['--http-port', String(await freePort())]
  await using first = serveListed('a:1,b:2,c:3', ...onePort)
  const { url: firstUrl } = (await first.ready()).http
  await using watch = ringman(['watch', '--url', firstUrl])
  await watch.until('the ring', () => watch.outLines.find((line) => line.includes('3 nodes')))
  first.signal('SIGTERM')
  await first.ended
  await using second = serveListed('a:1=4,b:2,c:3', ...onePort)
  await second.ready()
  const line = await watch.until('the change', () => watch.outLines.at(1))
  expect(line).toMatch(/3 nodes {2}digest [0-9a-f]{16} {2}a:1 weight 1 → 4$/)
})

test('get and watch say with brackets where a node with an IPv6 address is', async () => {
  await using served = await serveRing({ members: [fakeMember('cache-1', 'fd00::1')], ringKeyMode: 'name' })
  const ringUrl = served.server.url
  await using watch = ringman(['watch', '--url', ringUrl])
  await watch.until('the ring', () => watch.outLines.find((line) => line.includes('1 node')))
  served.source.set([fakeMember('cache-1', 'fd00::2')])
  const line = await watch.until('the change', () => watch.outLines.at(1))
  expect(line).toMatch(/cache-1 at \[fd00::1\]:8000 → \[fd00::2\]:8000$/)
  expect((await runMain(['get', 'a', '--url', ringUrl])).out).toBe('cache-1  [fd00::2]:8000\n')
})

test('watch follows a member that comes back, and reports the break', async () => {
  const onePort = ['--http-port', String(await freePort())]
  await using first = serveListed('a:1', ...onePort)
  const { url: firstUrl } = (await first.ready()).http
  await using watch = ringman(['watch', '--json', '--url', firstUrl])
  await watch.until('the first ring', () =>
    watch.events.find((ring) => (ring['nodes'] as unknown[]).length === 1),
  )
  first.signal('SIGTERM')
  await first.ended
  await using second = serveListed('a:1,b:2', ...onePort)
  await second.ready()
  await watch.until('the second ring', () =>
    watch.events.find((ring) => (ring['nodes'] as unknown[]).length === 2),
  )
  expect(watch.err).toContain('trying again')
})

test('a reader that goes away ends the command without complaint', async () => {
  await using watch = ringman(['ring', '--url', url])
  watch.child.stdout?.destroy()
  expect(await watch.ended).toEqual({ code: 0, signal: null })
  expect(watch.err).toBe('')
})
