import { readFileSync } from 'node:fs'
import { createServer, request, type IncomingHttpHeaders } from 'node:http'
import { describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { createApp } from '../../src/http/app.ts'
import { guardFor, httpParts } from '../support/http-parts.ts'
import { listening } from '../support/listening.ts'
import { openServer } from '../../src/http/server.ts'
import { sidecarUpdate } from '../../src/http/sidecar-update.ts'
import { silentLogger } from '../../src/logger.ts'
import { HashRingManager } from '../../src/manager/hash-ring-manager.ts'
import { SidecarSource } from '../../src/membership/sidecar/sidecar-source.ts'
import { RingService } from '../../src/service/ring-service.ts'

const golden = (name: string) => readFileSync(new URL(`../golden/${name}`, import.meta.url))

interface Recorded {
  readonly title: string
  readonly method: string
  readonly host: string
  readonly path: string
  readonly body: Buffer
  readonly status: string
  readonly headers: Readonly<Record<string, string>>
  readonly answer: string
}

/** Reads the recorded cases: a `curl` line and the answer to it, under a heading each. */
function readRecorded(): Recorded[] {
  const sections = golden('sidecar-http.md').toString('utf8').split('\n### ').slice(1)
  return sections.map((section) => {
    const title = section.slice(0, section.indexOf('\n'))
    const block = /```\n\$ curl -si (.*)\n([^]*)\n```/.exec(section)
    const [, command = '', response = ''] = block ?? []
    const target = URL.parse(command.slice(command.lastIndexOf(' ') + 1))
    if (block === null || target === null) throw new Error(`not understood: ${title}`)
    const data = /(?:^| )-d (.*) http:/.exec(command)?.[1]
    const blank = response.indexOf('\n\n')
    const [status = '', ...lines] = response.slice(0, blank).split('\n')
    const headers = Object.fromEntries(
      lines
        .map((line) => line.split(': ', 2))
        .map(([name = '', value = '']) => [name.toLowerCase(), value])
        .filter(([name]) => name !== 'date'),
    ) as Record<string, string>
    return {
      title,
      method: data !== undefined || command.includes('-X POST') ? 'POST' : 'GET',
      host: target.hostname,
      path: target.pathname + target.search,
      body: data?.startsWith('@') === true ? golden(data.slice(1)) : Buffer.from(data ?? ''),
      status,
      headers,
      answer: response.slice(blank + 2, blank + 2 + Number(headers['content-length'])),
    }
  })
}

const recorded = readRecorded()

/** A ring with its HTTP, as it runs: with the URL of a Sidecar, or waiting for updates. */
async function serve(url?: string) {
  const source = new SidecarSource(
    { serviceName: 'some-svc', servicePort: 9999, ...(url === undefined ? {} : { url }) },
    { logger: silentLogger },
  )
  const manager = new HashRingManager({ clock: systemClock })
  const deps = { source, manager, logger: silentLogger, clock: systemClock, ringKeyMode: 'address' as const }
  const ring = new RingService(deps)
  await ring.start()
  onTestFinished(() => ring.stop())
  const parts = httpParts()
  const app = createApp({
    ring,
    ...parts,
    extraRoutes: (responder) => [sidecarUpdate({ updates: source, guard: guardFor() })(responder)],
  })
  const server = await openServer(app, parts)
  onTestFinished(() => server.close(0))
  return { source, manager, port: server.port }
}

function ask(port: number, { method, path, body }: Recorded) {
  return new Promise<{ status: string; headers: IncomingHttpHeaders; answer: string }>((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, method, path, agent: false }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () => {
        resolve({
          status: `HTTP/${response.httpVersion} ${response.statusCode} ${response.statusMessage}`,
          headers: response.headers,
          answer: Buffer.concat(parts).toString('latin1'),
        })
      })
    })
    outgoing.once('error', reject)
    if (body.length > 0) outgoing.setHeader('content-type', 'application/x-www-form-urlencoded')
    outgoing.end(body)
  })
}

const byTitle = (title: string) =>
  recorded.find((each) => each.title === title) ?? expect.unreachable(`no recorded case ${title}`)

async function expectRecorded(port: number, each: Recorded): Promise<void> {
  const got = await ask(port, each)
  expect({ title: each.title, status: got.status, answer: got.answer }).toEqual({
    title: each.title,
    status: each.status,
    answer: each.answer,
  })
  expect(got.headers).toMatchObject(each.headers)
}

describe('a ring of Sidecar answers as the Go library was recorded to', () => {
  test('all in the order of the recording', async () => {
    expect(recorded).toHaveLength(12)
    const { source, manager, port } = await serve()
    for (const each of recorded.filter(({ host }) => host === '127.0.0.81')) {
      // The Go library applies the update at its next tick; here it is on the ring as soon as that is computed.
      if (each.title.startsWith('nodes 6 s later'))
        await expect.poll(() => manager.snapshot.ring.size).toBe(2)
      await expectRecorded(port, each)
    }
    expect(manager.snapshot.epoch).toBe(1)
    expect(source.health().detail).toMatchObject({ updatesAccepted: 1, updatesIgnored: 2, updatesRefused: 3 })
  })

  test('a ring that fetched the state', async () => {
    const sidecar = createServer((_, response) => response.end(golden('sidecar-state.json')))
    const { port } = await serve(`${(await listening(sidecar)).url}/api/state.json`)
    const cases = recorded.filter(({ host }) => host === '127.0.0.83')
    expect(cases).toHaveLength(1)
    for (const each of cases) await expectRecorded(port, each)
    await expectRecorded(port, byTitle('get'))
  })
})

test('the node list tells a ring without nodes from one of which nothing was heard', async () => {
  const { source, port } = await serve()
  const list = byTitle('SidecarRing before any update: nodes = null')
  expect((await ask(port, list)).answer).toBe('null')
  source.update(Buffer.from('{"State":{},"ChangeEvent":{"Service":{"Name":"some-svc"}}}'))
  expect((await ask(port, list)).answer).toBe('{}')
})
