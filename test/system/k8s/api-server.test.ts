import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ApiServer } from '../../support/api-server.ts'
import { kubernetesVersion } from '../../support/control-plane.ts'
import { askApi, type ApiAccess } from '../../support/kubernetes-api.ts'
import { TcpRelay } from '../../support/tcp-relay.ts'

/** What the other files of this suite rely on: that the server is a real one and does what it is asked to. */
describe('the API server of the tests', () => {
  let server: ApiServer

  beforeAll(async () => {
    server = await ApiServer.start()
  })
  afterAll(async () => {
    await server.stop()
  })

  const as = (token: string): ApiAccess => ({ ...server.admin, token })
  const statusOf = async (token: string, path: string): Promise<number> =>
    (await askApi(as(token), 'GET', path)).status

  test('is the version that was built', async () => {
    const { gitVersion } = await server.ask<{ gitVersion: string }>('GET', '/version')
    expect(gitVersion).toBe(await kubernetesVersion())
    const { stdout, code } = await server.kubectl(['version', '--output=json'])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ serverVersion: { gitVersion } })
  })

  test('believes signed tokens of accounts, gives them no rights by itself, and refuses others', async () => {
    await server.createNamespace('tokens')
    await server.ask('POST', '/api/v1/namespaces/tokens/serviceaccounts', {
      body: { metadata: { name: 'reader' } },
    })
    const reviews = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' }
    for (const token of [
      await server.requestToken('tokens', 'reader'),
      await server.mintToken('tokens', 'reader', 60_000),
    ]) {
      const review = await askApi(as(token), 'POST', reviews, { body })
      expect(review.body).toMatchObject({
        status: { userInfo: { username: 'system:serviceaccount:tokens:reader' } },
      })
      expect(await statusOf(token, '/api/v1/namespaces/tokens/pods')).toBe(403)
    }
    expect(await statusOf('not-a-token', '/api/v1/namespaces/tokens/pods')).toBe(401)
    const expired = await server.mintToken('tokens', 'reader', -2000)
    expect(await statusOf(expired, '/api/v1/namespaces/tokens/pods')).toBe(401)
  })

  test('a compacted revision is gone for lists and, once it was restarted, for watches', async () => {
    await server.createNamespace('compaction')
    const path = '/api/v1/namespaces/compaction/configmaps'
    const create = (name: string) => server.ask('POST', path, { body: { metadata: { name } } })
    await create('a')
    const { metadata } = await server.ask<{ metadata: { resourceVersion: string } }>('GET', path)
    await create('b')
    await server.stopApi('kill')
    await server.compact()
    await server.startApi()
    await create('c')
    const watch = await server.tryAsk(
      'GET',
      `${path}?watch=1&timeoutSeconds=5&resourceVersion=${metadata.resourceVersion}`,
    )
    expect([watch.status, JSON.stringify(watch.body)]).toEqual([
      expect.any(Number),
      expect.stringContaining('410'),
    ])
    const exact = `resourceVersion=${metadata.resourceVersion}&resourceVersionMatch=Exact`
    expect((await server.tryAsk('GET', `${path}?${exact}`)).status).toBe(410)
    const { items } = await server.ask<{ items: { metadata: { name: string } }[] }>('GET', path)
    expect(items.map((item) => item.metadata.name)).toEqual(['a', 'b', 'c'])
  })

  test('is reached through a relay, which cuts and stalls', async () => {
    await using relay = await TcpRelay.start(
      { host: server.host, port: 0 },
      { host: server.host, port: 6443 },
    )
    const access = { ...server.admin, url: `https://${server.host}:${relay.port}` }
    const ask = (deadlineMs: number) => askApi(access, 'GET', '/readyz', { deadlineMs })
    expect((await ask(10_000)).status).toBe(200)
    relay.cut()
    await expect(ask(10_000)).rejects.toThrow(/ECONNRESET|hang up|disconnected/)
    relay.stall()
    await expect(ask(300)).rejects.toThrow(/abort/i)
    relay.pass()
    expect((await ask(10_000)).status).toBe(200)
  })
})
