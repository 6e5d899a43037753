import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { parse } from 'yaml'
import { describe, expect, test } from 'vitest'
import { EXIT_CODES, exitCodeOf } from '../../src/cli/exit-code.ts'
import { ERROR_CODES, RingmanError, type ErrorCode } from '../../src/errors.ts'
import { listening } from '../support/listening.ts'
import { runMain } from '../support/recording-terminal.ts'

describe('help and version', () => {
  test('go to standard output and are no failure', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
    expect(await runMain(['--version'])).toEqual({ code: 0, out: `${version}\n`, err: '' })
    for (const args of [['--help'], ['help'], ['help', 'get'], ['serve', '--help'], ['watch', '-h']]) {
      const { code, out, err } = await runMain(args)
      expect([code, err], args.join(' ')).toEqual([0, ''])
      expect(out).toContain('Usage: ringman')
    }
  })
})

describe('wrong usage', () => {
  test.each([
    [[], 'Usage:'],
    [['gte'], 'get'],
    [['help', 'gte'], "unknown command 'gte'\n(Did you mean get?)\n"],
    [['help', '\u{1b}[31m'], "unknown command '\\u{1b}[31m'\n"],
    [['get', 'a', '--\u{1b}[31m'], "unknown option '--\\u{1b}[31m'\n"],
    [['get'], 'KEY'],
    [['get', 'a', 'b'], 'argument'],
    [['get', 'a', '--ulr', 'x'], '--url'],
    [['get', 'a', '-n', '0'], '--count'],
    [['get', 'a', '-n', 'many'], '--count'],
    [['nodes', '--url', 'localhost:x'], '--url'],
    [['ring', '--timeout', '5'], '--timeout'],
    [['dev', '--nodes', '51'], '--nodes'],
    [['dev', '--nodes', '0'], '--nodes'],
    [['dev', '--nodes', '1', '--kill-one-after', '1s'], '--kill-one-after'],
    [['serve', '--http-port'], 'ringman: --http-port needs a PORT\n'],
    [['drain', '--token-file'], 'ringman: --token-file needs a FILE\n'],
    [['get', 'a', '-n'], 'ringman: --count needs an N\n'],
    [['nodes', '--url'], 'ringman: --url needs a URL\n'],
    [['serve', '--http-port', 'x'], '--http-port'],
    [['serve', '--htp-port', '1'], '--http-port'],
    [['serve', 'stray'], 'stray'],
    [['serve', '--json'], '--print-config'],
    [['serve', '--require-encryption=false'], 'it has no effect without keyringFile (--keyring-file)'],
    [['serve', '--key-header', 'x-user'], 'it has no effect without upstream (--upstream)'],
    [['doctor', '--kube', 'a/b', '--only'], '--kube "a/b": either it or only is allowed, and both are set'],
    [
      ['doctor', '--kube', 'a/b', '--url', 'c'],
      '--kube "a/b": either it or url is allowed, and both are set',
    ],
    [['serve', '--config', '/does/not/exist.yaml'], '/does/not/exist.yaml'],
    [['serve', '--source', 'static', '--print-config'], '--static-members'],
  ])('%j ends with 2 and names the fault', async (args, named) => {
    const { code, out, err } = await runMain(args)
    expect([code, out]).toEqual([2, ''])
    expect(err).toContain(named)
    expect(err).not.toMatch(/^\s+at /m)
  })

  test('is told all at once', async () => {
    const { code, err } = await runMain(['serve', '--htp-port', '1', '--drain', 'soon', 'stray'], {
      RINGMAN_GOSIP_PORT: '1',
      RINGMAN_LOG_LEVEL: 'loud',
    })
    expect(code).toBe(2)
    for (const named of ['--htp-port', '--drain', 'stray', 'RINGMAN_GOSIP_PORT', 'RINGMAN_LOG_LEVEL']) {
      expect(err).toContain(named)
    }
    expect(err.trimEnd().split('\n')).toHaveLength(6)
  })
})

describe('serve --print-config', () => {
  const args = ['serve', '--print-config', '--drain', '9s', '--seeds', 'a', '--seeds', 'b:2']
  const env = { RINGMAN_HTTP_PORT: '9000' }

  test('prints a configuration file', async () => {
    const { code, out, err } = await runMain(args, env)
    expect([code, err]).toEqual([0, ''])
    expect(parse(out)).toMatchObject({ drain: '9s', seeds: ['a', 'b:2'], httpPort: 9000, adminPort: 8081 })
  })

  test('prints JSON with each origin', async () => {
    const { code, out } = await runMain([...args, '--json'], env)
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({
      drain: { value: '9s', origin: { kind: 'flag', name: '--drain' } },
      httpPort: { value: 9000, origin: { kind: 'variable', name: 'RINGMAN_HTTP_PORT' } },
      adminPort: { value: 8081, origin: { kind: 'default' } },
    })
  })
})

test('a fault of the member that was asked is told with its place, and without the stack of this command', async () => {
  await using server = createServer((_, response) => {
    response.writeHead(500, { 'content-type': 'application/problem+json' })
    response.end(
      JSON.stringify({ code: 'INTERNAL', detail: 'A fault of ringman itself; its log says more.' }),
    )
  })
  const url = `http://127.0.0.1:${(await listening(server)).port}`
  const { code, err } = await runMain(['get', 'k', '--url', url])
  expect(code).toBe(1)
  expect(err).toBe(`ringman: ${url}/v1/owner: A fault of ringman itself; its log says more.\n`)
})

describe('exit codes', () => {
  test('3: nobody answers', async () => {
    for (const args of [['get', 'k'], ['nodes'], ['ring'], ['watch'], ['plan', '--leave', 'x']]) {
      const { code, out, err } = await runMain(args, { RINGMAN_URL: 'http://127.0.0.1:1' })
      expect([code, out], args.join(' ')).toEqual([3, ''])
      expect(err).toMatch(/^ringman: .*127\.0\.0\.1:1.*; name a member by --url or RINGMAN_URL\n$/)
    }
    const silent = await listening(createServer(() => {}))
    const late = await runMain(['ring', '--url', silent.url, '--timeout', '50ms'])
    expect(late.err).toMatch(/did not answer within 50 ms; --timeout waits longer\n$/)
    const { code, err } = await runMain(['doctor', '--url', '127.0.0.1:1'])
    expect(code).toBe(3)
    expect(err).toMatch(/^ringman: .*127\.0\.0\.1:1.*; name a member's admin port by --url\n$/)
  })

  test('are the same for the same error code, and documented', () => {
    const codes = Object.fromEntries(
      (Object.keys(ERROR_CODES) as ErrorCode[]).map((code) => [code, exitCodeOf(new RingmanError(code, ''))]),
    )
    expect(codes).toMatchObject({
      CONFIG_INVALID: 2,
      KEY_EMPTY: 2,
      UNREACHABLE: 3,
      TIMEOUT: 3,
      RING_EMPTY: 4,
      INTERNAL: 1,
    })
    expect(exitCodeOf(new Error('x'))).toBe(1)
    for (const code of Object.values(codes)) expect(Object.keys(EXIT_CODES)).toContain(String(code))
  })
})
