import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type Koa from 'koa'
import { expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { runDoctor } from '../../src/cli/doctor.ts'
import { diagnose } from '../../src/cli/doctor-findings.ts'
import { survey } from '../../src/cli/doctor-survey.ts'
import type { Readiness } from '../../src/http/readiness.ts'
import { reportRoutes } from '../../src/http/report-routes.ts'
import type { Route } from '../../src/http/route.ts'
import type { Member } from '../../src/membership/member.ts'
import type { RingService } from '../../src/service/ring-service.ts'
import { fakeMember } from '../support/fake-source.ts'
import { HastyClock } from '../support/hasty-clock.ts'
import { RecordingTerminal } from '../support/recording-terminal.ts'

const DEFAULTS = { bundle: undefined, only: false, kube: undefined, timeoutMs: 10_000 }

const GOSSIP = { label: '', otherLabels: [], clusterName: null, keys: [], requireEncryption: true }

/** The routes for doctor of a member that knows `members`; whom it is made to try is told to `onPair`. */
function routesOf(
  member: Member,
  members: readonly Member[],
  onPair: (to: string) => void,
  reach: () => { readonly udp: boolean; readonly tcp: boolean },
): Route[] {
  const ring = {
    source: { kind: 'memberlist', selfName: member.name, members },
    ringKeyMode: 'name',
    manager: { snapshot: { ring: { digest: 'd', size: members.length } } },
    uptimeMs: 1,
    health: () => ({ condition: 'well', ok: true, message: 'All is well' }),
    control: {
      report: () => ({
        ...GOSSIP,
        address: member.address,
        port: member.port,
        drops: {},
        lastDrops: [],
        seedRefusals: [],
        contested: [],
        seedAddresses: [],
        seedFailures: [],
        evicted: [],
      }),
      checkReach: (to: string) => {
        onPair(to)
        return Promise.resolve(reach())
      },
    },
  } as unknown as RingService
  const readiness = { evaluate: () => Promise.resolve({ ready: true, checks: [] }) } as unknown as Readiness
  return reportRoutes({
    ring,
    readiness,
    guard: { unusableFiles: [] },
    clock: systemClock,
    name: member.name,
    version: '1',
    settings: {},
  })
}

/** Admin ports of so many members, each at an address of its own; who is asked for what is recorded. */
async function adminPorts(count: number, reach = () => ({ udp: true, tcp: true })) {
  const asked: string[] = []
  const pairs: string[] = []
  const byAddress = new Map<string, { readonly name: string; readonly routes: readonly Route[] }>()
  const server = createServer((request, response) => {
    const { name, routes } = byAddress.get(request.socket.localAddress ?? '')!
    const [path = '', query = ''] = (request.url ?? '').split('?')
    asked.push(`${name} ${request.url}`)
    const route = routes.find((one) => one.path === path)
    const handle = route !== undefined && 'GET' in route ? route.GET : undefined
    const answered = handle?.({} as unknown as Koa.Context, query, '')
    void Promise.resolve(answered).then((answer) => response.end(answer?.body))
  }).listen(0, '0.0.0.0')
  await once(server, 'listening')
  const { port: adminPort } = server.address() as AddressInfo
  const members = Array.from({ length: count }, (_, n) => {
    const member = fakeMember(`m${n}`, `127.1.${n >> 8}.${n & 255}`)
    return { ...member, metadata: { ...member.metadata!, adminPort } }
  }).sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const member of members) {
    const { name, address } = member
    byAddress.set(address, {
      name,
      routes: routesOf(member, members, (to) => pairs.push(`${name} to ${to}`), reach),
    })
  }
  return {
    names: members.map(({ name }) => name),
    url: `http://${members[0]!.address}:${adminPort}`,
    asked,
    pairs,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

test.each([
  [50, 49],
  [51, 10],
  [200, 10],
])('of %d members, all are asked, and each is made to try %d others', async (count, tried) => {
  await using ports = await adminPorts(count)
  const { names, asked, pairs } = ports
  const found = await survey({ urls: [ports.url], follow: true, timeoutMs: 10_000 })
  expect(diagnose(found)).toEqual([])
  expect(found.members.map(({ report }) => report.name).sort()).toEqual(names)
  // Once for what it knows, once for whom it reaches.
  const peers = count > 50 ? 10 : 50
  const expected = names.flatMap((name) => [`${name} /v1/reach?peers=${peers}`, `${name} /v1/report`])
  expect(asked.sort()).toEqual(expected.sort())

  // Each tries those behind it in the order of names, so that each is also tried by as many.
  const behind = names.flatMap((from, at) =>
    Array.from({ length: tried }, (_, n) => `${from} to ${names[(at + n + 1) % count]}`),
  )
  expect(pairs.sort()).toEqual(behind.sort())
  const reached = found.members.map(({ report, reach = [] }) => `${report.name}: ${reach.length}`)
  expect(reached.sort()).toEqual(names.map((name) => `${name}: ${tried}`).sort())
})

test.each([
  ['TCP_BLOCKED', { udp: true, tcp: false }],
  ['UDP_BLOCKED', { udp: false, tcp: true }],
  ['NOT_REACHED', { udp: false, tcp: false }],
])(
  '%s is told of what a second look shows as well, and not of a member that stood still',
  async (code, how) => {
    for (const [looks, codes] of [
      [1, []],
      [2, [code]],
    ] as const) {
      let asked = 0
      // Two members ask each other once in each look.
      await using ports = await adminPorts(2, () => (asked++ < 2 * looks ? how : { udp: true, tcp: true }))
      const terminal = new RecordingTerminal()
      const config = { ...DEFAULTS, url: [ports.url] }
      await runDoctor({ config, terminal, json: true, clock: new HastyClock() })
      const { findings } = JSON.parse(terminal.printed) as { findings: { code: string }[] }
      expect(findings.map((finding) => finding.code)).toEqual(codes)
      expect(asked).toBe(4)
    }
  },
)
