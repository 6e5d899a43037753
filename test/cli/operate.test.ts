import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runOperate } from '../../src/cli/operate.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { GOSSIP, serve } from '../support/child-process.ts'
import { HastyClock } from '../support/hasty-clock.ts'
import { LiveCluster, type LiveMember } from '../support/live-cluster.ts'
import { RecordingTerminal, runMain } from '../support/recording-terminal.ts'

const cluster = new LiveCluster()
let a: LiveMember
let b: LiveMember
let env: { RINGMAN_TOKEN_FILE: string }

beforeAll(async () => {
  ;[a, b] = await cluster.addAll('a', 'b')
  env = { RINGMAN_TOKEN_FILE: cluster.tokenFile }
})
afterAll(() => cluster[Symbol.asyncDispose]())

test('drain says what would move, drains, and return undoes it', async () => {
  const { url } = a.addresses.admin
  const tried = await runMain(['drain', '--url', url, '--dry-run'], env)
  expect(tried).toMatchObject({ code: 0, err: '' })
  expect(tried.out).toMatch(/^This would be done: This member is off the ring/)
  expect(tried.out).toMatch(/[0-9.]+% of all keys would move\n\nSHARE +FROM +TO/)
  expect(a.process.service.drained).toBe(false)

  const done = await runMain(['drain', '--url', url, '--reason', 'a test', '--by', 'ann'], env)
  expect(done.out).toMatch(/^This member is off the ring.*\n[0-9.]+% of all keys move\n/)
  expect(a.process.service.drained).toBe(true)
  expect(a.logger.of('admin.action').at(-1)?.fields).toMatchObject({ by: 'ann', reason: 'a test' })
  await cluster.agreeOn(1)

  const back = await runMain(['return', '--url', url, '--json'], env)
  expect(JSON.parse(back.out)).toMatchObject({ action: 'return', changed: true })
  await cluster.agreeOn(2)
})

test('several members act, one after the other, also when one of them does not', async () => {
  const [at, nowhere, bt] = [a.addresses.admin.url, 'http://127.0.0.1:9', b.addresses.admin.url]
  const both = await runMain(['reload', '--url', `${at},${bt}`], env)
  const said = (name: string, url: string) =>
    `${name} (${new URL(url).host}): Its files have nothing new\n- Its keyring has the keys`
  expect(both).toMatchObject({ code: 0, err: '' })
  expect(both.out).toContain(said('a', at))
  expect(both.out).toContain(said('b', bt))

  const urls = `${at},${nowhere},${bt}`
  const three = await runMain(['reload', '--url', urls], env)
  expect(three.code).toBe(3)
  expect(three.out).toContain(said('a', at))
  expect(three.out).toContain(said('b', bt))
  expect(three.err).toMatch(
    /^ringman: 127\.0\.0\.1:9: cannot reach .*\nringman: 1 of 3 members did not do it: 127\.0\.0\.1:9\n$/,
  )

  // The name in the answer is that of the other member, here.
  const refused = await runMain(['forget', 'b', '--url', `${at},${nowhere}`, '--json'], env)
  expect(refused.code).toBe(1)
  expect(refused.out).toContain(`"url": "${at}",\n  "error": {\n    "code": "ACTION_REFUSED",`)
  expect(refused.err).toMatch(new RegExp(`2 of 2 members did not do it: ${new URL(at).host}, 127.0.0.1:9\n$`))
  const gone = await runMain(['evict', 'b', '--url', `${at},${bt}`, '--dry-run'], env)
  expect(gone.out).toMatch(new RegExp(`^${new URL(at).host}: This would be done: "b" is off the ring`))
})

describe('told to several members at once', () => {
  test('a drain goes from one to the next that has heard of it, so that the last one keeps the ring', async () => {
    await using three = new LiveCluster()
    await three.addAll('a', 'b', 'c')
    const urls = three.members.map(({ addresses }) => addresses.admin.url).join(',')
    const of = { RINGMAN_TOKEN_FILE: three.tokenFile }
    const read = (out: string) =>
      out
        .trim()
        .split(/(?<=^\})\n/m)
        .map((text) => JSON.parse(text) as { moves?: { to: string }[]; error?: object })
    for (let round = 0; round < 5; round++) {
      const drained = await runMain(['drain', '--json', '--url', urls], of)
      expect(drained.code).toBe(1)
      const [, second, third] = read(drained.out)
      // All that the second one gives up is with the third: it knows that the first one is off the ring.
      expect(second?.moves?.map(({ to }) => to)).toEqual(['127.0.0.1:8002'])
      expect(third?.error).toMatchObject({
        code: 'ACTION_REFUSED',
        message: expect.stringContaining('it would be empty') as string,
      })
      await three.agreeOn(1)
      expect(await runMain(['return', '--url', urls], of)).toMatchObject({ code: 0, err: '' })
      await three.agreeOn(3)
    }
    const weighed = await runMain(['weight', '4', '--json', '--url', urls], of)
    const { nodes } = three.members[0]!.process.service.manager.snapshot.ring
    const weights = (...each: number[]) =>
      HashRing.of(nodes.map((node, at) => ({ ...node, weight: each[at] ?? 1 })))
    expect(read(weighed.out)).toMatchObject(
      [weights(), weights(4), weights(4, 4)].map((ring, at) => ({
        movedShare: ring.movedTo(weights(...[4, 4, 4].slice(0, at + 1))).share,
      })),
    )
  })

  test('an eviction is known to the next member when it is asked for the same', async () => {
    await using three = new LiveCluster()
    await three.addAll('a', 'b', 'c')
    const urls = three.members.map(({ addresses }) => addresses.admin.url).join(',')
    const evicted = await runMain(['evict', 'c', '--url', urls], { RINGMAN_TOKEN_FILE: three.tokenFile })
    expect(evicted).toMatchObject({ code: 0, err: '' })
    // It moves once; the last one asked is the one that has left.
    expect(evicted.out.match(/of all keys move/g)).toHaveLength(1)
    expect(evicted.out).toContain('This member has left already')
    await three.agreeOn(2)
  })

  test('a member that died after it was drained holds nobody up', async () => {
    const asked: string[] = []
    const fake = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`)
      response.setHeader('content-type', 'application/json')
      const answer = { member: 'first', dryRun: false, changed: true, message: 'Done', movedShare: 0 }
      const members = [{ name: 'first', state: 'dead', drained: false, weight: 1 }]
      response.end(JSON.stringify({ ...answer, action: 'drain', moves: [], details: [], members }))
    })
    await new Promise<void>((resolve) => fake.listen(0, '127.0.0.1', resolve))
    const { port } = fake.address() as { port: number }
    const at = `http://127.0.0.1:${port}`
    const drained = await runMain(['drain', '--url', `${at},${at}`], env)
    fake.close()
    expect(drained).toMatchObject({ code: 0, err: '' })
    expect(asked).toEqual(['POST /v1/admin/drain', 'GET /v1/report', 'POST /v1/admin/drain'])
  })

  test('those that do not hear of it in time are not asked, without a wait for each, and the others are', async () => {
    await using known = new LiveCluster()
    const [first] = await known.addAll('first', 'second')
    const asked: string[] = []
    const deaf = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`)
      response.setHeader('content-type', 'application/json')
      response.end('{"members":[{"name":"first","state":"alive","drained":false,"weight":1}]}')
    })
    await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve))
    const { port } = deaf.address() as { port: number }
    const deafAt = `http://127.0.0.1:${port}`
    const terminal = new RecordingTerminal()
    const clock = new HastyClock()
    const operated = runOperate({
      action: 'drain',
      operand: undefined,
      dryRun: false,
      json: false,
      config: {
        url: [first.addresses.admin.url, deafAt, deafAt, deafAt, first.addresses.admin.url],
        tokenFile: known.tokenFile,
        timeoutMs: 60_000,
        by: 'ann',
        reason: undefined,
      },
      terminal,
      clock,
    })
    await expect(operated).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: `3 of 5 members did not do it: ${Array(3).fill(`127.0.0.1:${port}`).join(', ')}`,
    })
    deaf.close()
    expect(terminal.complained).toBe(
      `ringman: 127.0.0.1:${port}: it was not asked: within 10s it has not heard that "first" is drained; ask it once it has\n`.repeat(
        3,
      ),
    )
    expect(new Set(asked)).toEqual(new Set(['GET /v1/report']))
    expect(terminal.printed).toMatch(/This member is off the ring[^]*This member is drained already\n$/)
    expect(clock.now()).toBe(10_000)
  })

  test('what is only tried out is tried out for each by itself, and says so', async () => {
    const [at, bt] = [a.addresses.admin.url, b.addresses.admin.url]
    const tried = await runMain(['drain', '--dry-run', '--url', `${at},${bt}`], env)
    expect(tried.out.match(/This would be done/g)).toHaveLength(2)
    expect(tried).toMatchObject({
      code: 0,
      err: 'ringman: each is tried out by itself, as if the others stayed as they are\n',
    })
    const reloaded = await runMain(['reload', '--dry-run', '--url', `${at},${bt}`], env)
    expect(reloaded.err).toBe('')
  })
})

test('an eviction that is only tried out says whether the member answers', async () => {
  const at = ['--url', a.addresses.admin.url, '--dry-run', '--timeout', '30s']
  const well = await runMain(['evict', 'b', ...at], env)
  expect(well.out).toMatch(/^This would be done: "b" is off the ring/)
  expect(well.out).not.toContain('does not answer')
  const seeds = `127.0.0.1:${a.addresses.gossip?.port}`
  const given = ['--name', 'frozen', '--service-port', '9000', '--keyring-file', cluster.keyringFile]
  await using frozen = serve([...GOSSIP, ...given, '--seeds', seeds])
  await frozen.ready()
  await cluster.agreeOn(3)
  frozen.signal('SIGSTOP')
  try {
    const { code, out } = await runMain(['evict', 'frozen', ...at], env)
    expect(code).toBe(0)
    expect(out).toContain(
      '\n- "frozen" does not answer now, so it would not leave by itself: the others refuse it\n',
    )
  } finally {
    frozen.signal('SIGKILL')
  }
  await cluster.agreeOn(2)
})

test('what is refused has an exit code and says why', async () => {
  const { url } = a.addresses.admin
  expect(await runMain(['evict', 'nobody', '--url', url], env)).toMatchObject({
    code: 2,
    err: expect.stringMatching(/knows no member called "nobody"; `ringman nodes`/) as string,
  })
  expect(await runMain(['forget', 'b', '--url', url], env)).toMatchObject({
    code: 1,
    err: expect.stringContaining('is alive') as string,
  })
  expect(await runMain(['weight', 'many', '--url', url], env)).toMatchObject({ code: 2 })
  expect(await runMain(['drain', '--url', url])).toMatchObject({
    code: 2,
    err: expect.stringContaining('--token-file') as string,
  })
  expect(await runMain(['drain', '--url', url, '--token-file', `${cluster.folder}/none`])).toMatchObject({
    code: 2,
    err: expect.stringContaining('cannot be used: there is no such file') as string,
  })
  const other = `${cluster.folder}/wrong`
  writeFileSync(other, 'wrong')
  expect(await runMain(['drain', '--url', url, '--token-file', other])).toMatchObject({
    code: 2,
    err: expect.stringMatching(/token is missing or wrong; give .* by --token-file\n$/) as string,
  })
  expect(await runMain(['evict', 'c', '--for', '10'], env)).toMatchObject({
    code: 2,
    err: expect.stringContaining('a duration from 1s to 168h, with its unit: ms, s, m or h') as string,
  })
  expect(await runMain(['drain', '--url', a.addresses.http.url], env)).toMatchObject({
    code: 3,
    err: expect.stringContaining(`${a.addresses.http.url} is a look-up port`) as string,
  })
})
