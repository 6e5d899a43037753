import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { expect, test, vi } from 'vitest'
import { serve, STATIC } from '../support/child-process.ts'

test('with 256 file descriptors 600 idle connections leave look-ups, probes and metrics alive', async () => {
  await using member = serve(STATIC, { prefix: ['sh', '-c', 'ulimit -n 256 && exec "$0" "$@"'] })
  const { http, admin } = await member.ready()
  const reduced = await member.event('connections.reduced')
  expect(reduced).toMatchObject({ level: 'warn', configured: 1024, maxFds: 256 })
  const sockets: Socket[] = []
  for (let i = 0; i < 600; i++) {
    const socket = connect({ port: http.port, host: '127.0.0.1' })
    socket.on('error', () => {})
    await once(socket, 'connect')
    sockets.push(socket)
    if (i % 100 !== 99) continue
    expect((await fetch(`${http.url}/v1/owner?key=${i}`)).status).toBe(200)
    expect((await fetch(`${admin.url}/readyz`)).status).toBe(200)
  }
  const limit = Number(reduced['limit'])
  expect(limit).toBeGreaterThan(80)
  const valueOf = await vi.waitFor(async () => {
    const metrics = await (await fetch(`${admin.url}/metrics`)).text()
    const read = (series: string) => Number(metrics.split(`\n${series} `)[1]?.split('\n')[0])
    // A burst is taken over many turns of the loop; the requests above came on connections that were there before.
    const madeRoom = read('ringman_http_connections_closed_total{reason="made-room"}')
    expect(madeRoom).toBeGreaterThanOrEqual(sockets.length - limit)
    return read
  }, 60_000)
  expect(valueOf('ringman_http_connections_limit{port="lookup"}')).toBe(limit)
  expect(valueOf('ringman_http_connections{port="lookup"}')).toBe(limit)
  expect(valueOf('ringman_http_connections{port="admin"}')).toBeGreaterThan(0)
  expect(valueOf('process_open_fds')).toBeLessThan(200)
  await member.event('connections.limited', ({ reason }) => reason === 'made-room')
  expect(member.events.filter(({ event }) => event === 'connections.limited')).toHaveLength(1)
  for (const socket of sockets) socket.destroy()
})

test.each(['1', '3'])(
  'out of file descriptors a member with %s threads makes room among idle connections, goes on answering, and says so',
  async (threads) => {
    await using member = serve([...STATIC, '--http-threads', threads])
    const { http, admin } = await member.ready()
    const sockets: Socket[] = []
    const connectIdle = () => {
      const socket = connect({ port: http.port, host: '127.0.0.1' }).on('error', () => {})
      sockets.push(socket)
      return socket
    }
    for (let i = 0; i < 60; i++) await once(connectIdle(), 'connect')
    await vi.waitFor(async () => {
      const answer = await fetch(`${admin.url}/metrics`, { headers: { Connection: 'close' } })
      const metrics = await answer.text()
      expect(metrics).toContain('\nringman_http_connections{port="lookup"} 60\n')
    }, 60_000)
    const pid = String(member.child.pid)
    const limit = Math.max(...readdirSync(`/proc/${pid}/fd`).map(Number)) + 1
    execFileSync('prlimit', ['--pid', pid, `--nofile=${limit}:${limit}`])
    // What is free below the limit, now or when something is closed, more connections take until there is nothing left.
    const exhausted = () => member.events.filter(({ event }) => event === 'descriptors.exhausted')
    await vi.waitFor(
      () => {
        connectIdle()
        expect(exhausted()).toHaveLength(1)
      },
      { timeout: 60_000, interval: 20 },
    )
    for (let i = 0; i < 10; i++) {
      // Each on a connection of its own, all at once.
      const paths = [`${http.url}/v1/owner?key=${i}`, `${admin.url}/readyz`, `${admin.url}/livez`]
      const answers = await Promise.all(
        paths.map((path) =>
          fetch(path, { headers: { Connection: 'close' }, signal: AbortSignal.timeout(30_000) }),
        ),
      )
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    }
    expect(exhausted()).toHaveLength(1)
    for (const socket of sockets) socket.destroy()
  },
)
