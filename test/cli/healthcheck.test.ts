import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { serve, STATIC } from '../support/child-process.ts'
import { listening } from '../support/listening.ts'
import { runMain } from '../support/recording-terminal.ts'

/** A server in a member's place; its port. */
async function adminPort(listener: RequestListener, host?: string): Promise<string> {
  return String((await listening(createServer(listener), host)).port)
}

/** Answers every path with a status and a text. */
const answering =
  (status: number, text: string): RequestListener =>
  (_, response) => {
    response.writeHead(status).end(text)
  }

describe('healthcheck', () => {
  test('a member that lives is healthy, and not ready once it leaves', async () => {
    await using member = serve([...STATIC, '--drain', '1h'])
    const { admin, http } = await member.ready()
    const env = { RINGMAN_ADMIN_PORT: String(admin.port), RINGMAN_SEEDS: 'a,b', RINGMAN_DRAIN: '1h' }
    for (const args of [[], ['--ready'], ['--ready', '--timeout', '10s']]) {
      const { code, out, err } = await runMain(['healthcheck', ...args], env)
      expect([code, err], args.join(' ')).toEqual([0, ''])
      expect(out).toMatch(/^.+\.\n$/)
    }
    expect(await runMain(['healthcheck', '--admin-port', String(http.port)])).toEqual({
      code: 3,
      out: '',
      err: expect.stringMatching(/^ringman: \S+ is a look-up port, and this is for the admin port/) as string,
    })
    member.signal('SIGTERM')
    await member.event('ring.left')
    expect(await runMain(['healthcheck'], env)).toMatchObject({ code: 0, err: '' })
    const { code, out, err } = await runMain(['healthcheck', '--ready'], env)
    expect([code, out]).toEqual([1, ''])
    expect(err).toMatch(/^ringman: Not ready\. .*\n$/)
  })

  test('a member that says that it has died is not healthy', async () => {
    const died = await adminPort(answering(503, '{"live":false,"message":"The ring has died."}'))
    expect(await runMain(['healthcheck', '--admin-port', died])).toEqual({
      code: 1,
      out: '',
      err: 'ringman: The ring has died.\n',
    })
  })

  test('asks the paths of liveness and readiness, and nothing else', async () => {
    const paths: (string | undefined)[] = []
    const asked = await adminPort((request, response) => {
      paths.push(request.url)
      response.end('{"message":"Yes."}')
    })
    await runMain(['healthcheck', '--admin-port', asked])
    await runMain(['healthcheck', '--admin-port', asked, '--ready'])
    expect(paths).toEqual(['/livez', '/readyz'])
  })

  test.each([
    ['another program', answering(200, '<html>')],
    ['another JSON', answering(200, '[]')],
    ['null', answering(200, 'null')],
    ['another status', answering(404, '{"message":"Not found."}')],
    ['an endless answer', answering(200, 'x'.repeat(1_000_000))],
    ['silence', () => {}],
    ['a cut connection', (_, response) => response.destroy()],
  ] satisfies [string, RequestListener][])('3: %s', async (_, listener) => {
    const other = await adminPort(listener)
    const { code, out, err } = await runMain(['healthcheck', '--admin-port', other, '--timeout', '300ms'])
    expect([code, out]).toEqual([3, ''])
    expect(err).toMatch(/^ringman: .*127\.0\.0\.1:\d+\/livez.*\n$/)
  })

  test('3: nobody listens', async () => {
    const { code, err } = await runMain(['healthcheck'], { RINGMAN_ADMIN_PORT: '1' })
    expect(code).toBe(3)
    expect(err).toMatch(
      /^ringman: .*127\.0\.0\.1:1\/livez.*; name its port by --admin-port or RINGMAN_ADMIN_PORT\n$/,
    )
  })

  test('finds the port in a flag, a variable, and the file of the member, in this order', async () => {
    const asked = await adminPort(answering(200, '{"message":"Yes."}'))
    const folder = mkdtempSync(join(tmpdir(), 'ringman-healthcheck-'))
    try {
      const config = join(folder, 'ringman.yaml')
      const write = (adminPortOfFile: string) => {
        writeFileSync(config, `adminPort: ${adminPortOfFile}\nhttpPort: 8080\nseeds: [a, b]\n`)
      }
      const env = { RINGMAN_CONFIG: config }
      write(asked)
      expect((await runMain(['healthcheck'], env)).code).toBe(0)
      write('1')
      expect((await runMain(['healthcheck'], env)).code).toBe(3)
      expect((await runMain(['healthcheck'], { ...env, RINGMAN_ADMIN_PORT: asked })).code).toBe(0)
      expect(
        (await runMain(['healthcheck', '--admin-port', asked], { ...env, RINGMAN_ADMIN_PORT: '1' })).code,
      ).toBe(0)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('asks loopback where the member listens everywhere, else the address that it listens on', async () => {
    const everywhere = await adminPort(answering(200, '{"message":"Yes."}'), '0.0.0.0')
    const one = await adminPort(answering(200, '{"message":"Yes."}'), '127.0.0.2')
    const ask = async (host: string, port: string) =>
      (await runMain(['healthcheck'], { RINGMAN_HTTP_HOST: host, RINGMAN_ADMIN_PORT: port })).code
    expect(await ask('0.0.0.0', everywhere)).toBe(0)
    expect(await ask('127.0.0.2', one)).toBe(0)
    expect(await ask('0.0.0.0', one)).toBe(3)
  })

  test.each([
    [{ RINGMAN_ADMIN_PORT: '0' }, 'RINGMAN_ADMIN_PORT'],
    [{ RINGMAN_CONFIG: '/does/not/exist.yaml' }, '/does/not/exist.yaml'],
    [{ RINGMAN_GOSIP_PORT: '1' }, 'RINGMAN_GOSIP_PORT'],
  ])('2: %j', async (env, named) => {
    const { code, out, err } = await runMain(['healthcheck'], env)
    expect([code, out]).toEqual([2, ''])
    expect(err).toContain(named)
  })
})
