import { expect, test, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { GOSSIP, serve } from '../support/child-process.ts'
import { COLLECTIONS, FakeKubernetesApi } from '../support/fake-kubernetes-api.ts'
import { FakeKubernetesServer } from '../support/fake-kubernetes-server.ts'
import { runMain } from '../support/recording-terminal.ts'
import { PHASES, sliceOf } from '../membership/kubernetes/slice-fixtures.ts'

const PATIENCE = { timeout: 60_000, interval: 50 }

const start = (name: string, kubeconfig: string, ...more: string[]) =>
  serve([...GOSSIP, '--hash-rings', '--kubernetes-kubeconfig', kubeconfig, '--name', name, ...more])

test('two processes serve the rings of HashRings, one writes their status, and a third starts without the API server', async () => {
  const api = new FakeKubernetesApi(systemClock)
  await using server = await FakeKubernetesServer.open(api)
  const kubeconfig = server.kubeconfig({ token: 't' })
  const putSlice = (...names: readonly string[]) => {
    const pods = names.map((name, i) => ({ name, address: `10.0.0.${i + 1}`, ...PHASES.serving }))
    const slice = sliceOf('cache-a', pods)
    api.put(COLLECTIONS.allSlices, { ...slice, metadata: { ...slice.metadata, namespace: 'shop' } })
  }
  putSlice('cache-0', 'cache-1')
  api.put(COLLECTIONS.hashRings, {
    metadata: { name: 'cache', namespace: 'shop', generation: 1 },
    spec: { service: { name: 'cache' } },
  })
  const status = () =>
    (api.get(COLLECTIONS.hashRings, 'shop/cache')?.['status'] ?? {}) as Record<string, unknown>

  await using one = start('ringman-0', kubeconfig)
  const first = await one.ready()
  const seeds = ['--seeds', `127.0.0.1:${first.gossip.port}`]
  await using two = start('ringman-1', kubeconfig, ...seeds)
  const second = await two.ready()

  await vi.waitFor(() => {
    expect(status()).toMatchObject({ version: 1, onRingCount: 2 })
    expect(JSON.stringify(status()['conditions'])).toContain('All 2 pods hold this ring')
  }, PATIENCE)
  putSlice('cache-0', 'cache-1', 'cache-2')
  await vi.waitFor(async () => {
    for (const { http } of [first, second]) {
      const answer = await fetch(`${http.url}/v1/rings/shop/cache/owner?key=user:42`)
      expect(await answer.json()).toMatchObject({ version: 2, uid: expect.any(String) as unknown })
    }
  }, PATIENCE)

  const listed = await runMain(['rings', '--url', second.http.url])
  expect(listed.out).toMatch(/shop\/cache +3 +0 +[0-9a-f]{16} +2/)
  const owners = await Promise.all(
    [first, second].map(({ http }) => runMain(['get', 'user:42', '--ring', 'shop/cache', '--url', http.url])),
  )
  expect(owners[0]?.out).toMatch(/^cache-\d/)
  expect(owners[1]?.out).toBe(owners[0]?.out)
  const unknown = await runMain(['get', 'user:42', '--ring', 'shop/none', '--url', first.http.url])
  expect(unknown.err).toContain('no HashRing')

  api.faultFor = () => ({ kind: 'refuse' })
  api.dropAll()
  await using three = start('ringman-2', kubeconfig, ...seeds)
  const third = await three.ready()
  const report = await (await fetch(`${third.admin.url}/readyz`)).json()
  expect(JSON.stringify(report)).toMatch(/the rings are those that ringman-[01] had/)
  const taken = await runMain(['get', 'user:42', '--ring', 'shop/cache', '--url', third.http.url])
  expect(taken).toMatchObject({ err: '', out: owners[0]?.out })
})
