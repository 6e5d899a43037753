import { createServer } from 'node:http'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { runDoctor } from '../../src/cli/doctor.ts'
import { printable, printableJson, printableValue, shortened } from '../../src/printable.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import type { Member } from '../../src/membership/member.ts'
import { serveRing } from '../http/running-ring.ts'
import { fakeMember } from '../support/fake-source.ts'
import { HastyClock } from '../support/hasty-clock.ts'
import { LiveCluster } from '../support/live-cluster.ts'
import { RecordingTerminal, runMain } from '../support/recording-terminal.ts'
import { listening } from '../support/listening.ts'

/** What nothing may print besides its own line ends: controls, what reorders or hides text, separators. */
const ACTIVE = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u

const nasty = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '\u001b[2J',
        '\u009b31m',
        '\n',
        '\r',
        '\t',
        '\0',
        '\u007f',
        '\u0085',
        '\u202e',
        '\u2066',
        '\u2028',
        '\u200b',
        '\ufeff',
        '\u{e0041}',
        '\ud800',
      ),
      fc.string({ unit: 'grapheme', maxLength: 3 }),
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((parts) => parts.join(''))

/** As it comes over the wire, in UTF-8. */
const wellFormed = nasty.map((text) => text.toWellFormed())

test('what a terminal acts upon is named, and the rest stays', () => {
  expect(printable('rötlich 王 🦊 a\u001b[2J\nb\u202e\ud800')).toBe(
    'rötlich 王 🦊 a\\u{1b}[2J\\u{a}b\\u{202e}\\u{d800}',
  )
})

test('what is too long is cut between characters, wherever the limit falls', () => {
  for (const text of ['a'.repeat(5), '🦊🦊🦊', 'a🦊🦊🦊']) {
    expect(shortened(text, 20)).toBe(text)
    expect(shortened(text, text.length)).toBe(text)
    for (const limit of [1, 2, 3, 4]) {
      const cut = shortened(text, limit)
      expect(cut.isWellFormed()).toBe(true)
      expect(cut.length).toBeLessThanOrEqual(limit + 1)
      expect(cut.endsWith('…')).toBe(true)
      expect(text.startsWith(cut.slice(0, -1))).toBe(true)
      // It ends no earlier than it has to.
      expect(cut.length).toBeGreaterThanOrEqual(limit)
    }
  }
})

test('any text and any value becomes printable, JSON without a change of meaning', () => {
  fc.assert(
    fc.property(nasty, fc.jsonValue(), (text, value) => {
      const given = { [text]: [text, { value }], plain: 1, nothing: null }
      expect(printable(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u)
      expect(printable(printable(text))).toBe(printable(text))
      expect(JSON.stringify(printableValue(given))).not.toMatch(ACTIVE)
      const json = JSON.stringify(given, undefined, 2)
      expect(printableJson(json)).not.toMatch(ACTIVE)
      expect(JSON.parse(printableJson(json))).toEqual(JSON.parse(json))
    }),
  )
})

describe('names and zones of peers, whatever they hold', () => {
  /** A ring that has taken in those of the members who live. */
  async function served(members: readonly Member[], nodes: number, ringKeyMode: 'address' | 'name') {
    const ring = await serveRing({ members, ringKeyMode })
    await expect.poll(() => ring.ring.manager.snapshot.ring.nodes).toHaveLength(nodes)
    return { ring, place: `127.0.0.1:${ring.server.port}` }
  }

  /** Runs `watch` until it has printed something. */
  function watchOnce(args: readonly string[]) {
    return runMain(['watch', ...args], {}, () => process.emit('SIGTERM'))
  }

  test('reach the terminal printable in every command, and forge no line', async () => {
    await fc.assert(
      fc.asyncProperty(wellFormed, wellFormed, async (name, zone) => {
        const members = [
          fakeMember(`a${name}`, '10.0.0.1', { zone: `z${zone}` }),
          fakeMember('b', '10.0.0.2'),
          fakeMember(`c${name}`, '10.0.0.3', { state: 'dead' }),
        ]
        const { ring, place } = await served(members, 2, 'address')
        await using _ring = ring
        const url = ['--url', `http://${place}`]
        for (const [args, lines] of [
          [['nodes', ...url], 6],
          [['ring', ...url], 5],
          [['get', 'k', '-n', '2', ...url], 2],
          [['plan', '--leave', '10.0.0.2:8000', ...url], 4],
          [['plan', '--leave', 'nobody', ...url], 0],
          [['agree', place], 1],
        ] as const) {
          const { out, err } = await runMain(args)
          expect([args, out.split('\n').length - 1]).toEqual([args, lines])
          expect(`${out}${err}`).not.toMatch(ACTIVE)
          const json = await runMain([...args, '--json'])
          expect(`${json.out}${json.err}`).not.toMatch(ACTIVE)
          if (args[0] === 'nodes') {
            expect(JSON.parse(json.out)).toMatchObject({
              members: members.map((one) => ({ name: one.name })),
            })
          }
        }
      }),
      { numRuns: 15 },
    )
  })

  test('reach it printable in watch too', async () => {
    const members = [fakeMember('a\u001b[2Jb\u202e', '10.0.0.1')]
    const { ring, place } = await served(members, 1, 'name')
    await using _ring = ring
    const url = ['--url', `http://${place}`]
    const { out, code } = await watchOnce(url)
    expect([code, out.split('\n').length]).toEqual([0, 2])
    expect(out).toContain('+a\\u{1b}[2Jb\\u{202e}')
    expect((await watchOnce([...url, '--json'])).out).not.toMatch(ACTIVE)
  })

  test('reach it printable in the log, as JSON and for people', () => {
    fc.assert(
      fc.property(nasty, fc.constantFrom('json' as const, 'pretty' as const), (peer, format) => {
        const lines: string[] = []
        createLogger({ level: 'info', format, destination: { write: (line) => void lines.push(line) } }).info(
          { event: 'member.moved', peer, [peer]: 1 },
          'Came back',
        )
        expect(lines.join('')).not.toMatch(ACTIVE)
        expect(lines.join('').trimEnd().split('\n')).toHaveLength(1)
      }),
    )
  })
})

test('what a stranger answers reaches the terminal printable', async () => {
  await fc.assert(
    fc.asyncProperty(
      nasty,
      fc.constantFrom('get', 'nodes', 'ring', 'plan', 'agree'),
      async (detail, command) => {
        const server = createServer((_, response) => {
          response.writeHead(400, { 'content-type': 'application/problem+json' })
          response.end(JSON.stringify({ code: 'PLAN_INVALID', detail }))
        })
        const place = `127.0.0.1:${(await listening(server)).port}`
        const args = {
          get: ['get', 'k', '--url', `http://${place}`],
          nodes: ['nodes', '--url', `http://${place}`],
          ring: ['ring', '--url', `http://${place}`],
          plan: ['plan', '--leave', 'x', '--url', `http://${place}`],
          agree: ['agree', place],
        }[command]
        const { out, err } = await runMain(args)
        expect(`${out}${err}`).not.toMatch(ACTIVE)
        expect(err.split('\n')).toHaveLength(2)
      },
    ),
    { numRuns: 30 },
  )
})

test('what members say to operators and to doctor reaches the terminal printable', async () => {
  await using cluster = new LiveCluster()
  const { addresses } = await cluster.add('a')
  const report = (await (await fetch(`${addresses.admin.url}/v1/report`)).json()) as Record<string, unknown>
  await fc.assert(
    fc.asyncProperty(wellFormed, async (text) => {
      const member = { name: text, address: text, port: 1, state: 'alive', httpPort: null, adminPort: null }
      const gossip = report['gossip'] as object
      const answers: Record<string, unknown> = {
        '/v1/report': {
          ...report,
          ok: false,
          name: text,
          version: text,
          digest: text,
          message: text,
          failing: [text],
          settings: { [text]: text },
          gossip: {
            ...gossip,
            label: text,
            keys: [text],
            contested: [{ name: text, places: [text, `${text}2`] }],
            seedAddresses: [text],
            seedFailures: [{ seed: text, reason: text }],
            evicted: [{ name: text, forMs: 1000 }],
          },
          unusableFiles: [{ what: text, reason: text }],
          members: [{ ...member, level: 0, drained: true, weight: 1 }],
        },
        '/v1/reach?peers=50': { peers: [{ name: text, udp: false, tcp: false }] },
        '/v1/admin/drain': {
          action: text,
          member: text,
          dryRun: true,
          changed: true,
          message: text,
          movedShare: 0.5,
          moves: [{ from: text, to: text, share: 0.5 }],
          details: [text],
        },
      }
      const liar = createServer((request, response) => {
        response.setHeader('content-type', 'application/json')
        response.end(JSON.stringify(answers[request.url ?? ''] ?? {}))
      })
      const { url } = await listening(liar)
      for (const json of [false, true]) {
        const drain = ['drain', '--url', url, '--token-file', cluster.tokenFile]
        const { out, err, code } = await runMain(json ? [...drain, '--json'] : drain)
        expect(`${out}${err}`).not.toMatch(ACTIVE)
        expect(code).toBe(0)
        for (const only of [false, true]) {
          const terminal = new RecordingTerminal()
          const config = { bundle: undefined, kube: undefined, timeoutMs: 10_000, url: [url], only }
          // Without the wait for its second look.
          const found = await runDoctor({ config, terminal, json, clock: new HastyClock() })
          expect(`${terminal.printed}${terminal.complained}`).not.toMatch(ACTIVE)
          expect(found).toBe(6)
        }
      }
    }),
    { numRuns: 10 },
  )
})
