import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { serve, STATIC } from '../support/child-process.ts'
import { freePort } from '../support/free-port.ts'

const threadsOf = (pid: number) =>
  readdirSync(`/proc/${pid}/task`)
    .map((task) => readFileSync(`/proc/${pid}/task/${task}/comm`, 'utf8').trim())
    .filter((name) => name.startsWith('look-ups'))

test('a member with three threads answers, counts and ends like any other', async () => {
  await using member = serve([...STATIC, '--http-host', '::1', '--http-threads', '3'])
  const { http, admin } = await member.ready()
  expect(threadsOf(member.pid).sort()).toEqual(['look-ups 1', 'look-ups 2'])
  for (let i = 0; i < 60; i++) {
    const headers = { Connection: 'close' }
    const fast = (await (await fetch(`${http.url}/v1/owner?key=${i}`)).json()) as { readonly owner: unknown }
    // What only the main thread answers, on connections of all.
    const slow = await fetch(`${http.url}/v1/owners?key=${i}`, { headers })
    expect(((await slow.json()) as { readonly owners: unknown[] }).owners[0]).toEqual(fast.owner)
  }
  const metrics = await (await fetch(`${admin.url}/metrics`)).text()
  expect(metrics).toContain('\nringman_lookups_total{route="/v1/owner",result="ok"} 60\n')
  expect(metrics).toContain('\nringman_lookup_duration_seconds_count{route="/v1/owner"} 60\n')
  expect(metrics).toContain('\nringman_http_threads 3\n')
  member.child.kill('SIGTERM')
  expect(await member.ended).toEqual({ code: 0, signal: null })
  expect(member.err).toBe('')
})

test('with one thread there is no other', async () => {
  await using member = serve(STATIC)
  await member.ready()
  expect(threadsOf(member.pid)).toEqual([])
})

test('a port with threads of another process is taken', async () => {
  const port = String(await freePort())
  const args = [...STATIC, '--http-port', port, '--http-threads', '2']
  await using first = serve(args)
  await first.ready()
  await using second = serve(args)
  expect((await second.ended).code).not.toBe(0)
  expect(second.err + second.out).toContain('the port is taken by another program; --http-port takes another')
})

test('threads need the fast path, and with traces on there is one', async () => {
  await using refused = serve([...STATIC, '--http-threads', '2', '--http-fast-path', 'false'])
  expect((await refused.ended).code).not.toBe(0)
  expect(refused.err).toContain('it has no effect without httpFastPath (--http-fast-path)')
  await using traced = serve([...STATIC, '--http-threads', '2'], {
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' },
  })
  const { http } = await traced.ready()
  expect(threadsOf(traced.pid)).toEqual([])
  expect((await fetch(`${http.url}/v1/owner?key=1`)).status).toBe(200)
  await expect
    .poll(() => traced.events)
    .toContainEqual(expect.objectContaining({ event: 'threads.ignored', level: 'warn' }))
})
