import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ApiServer } from '../../support/api-server.ts'
import { askApi } from '../../support/kubernetes-api.ts'
import { CHART } from './rendered-objects.ts'

const RELEASE = 'ring'
const ACCOUNT = `${RELEASE}-ringman`
const SLICES = { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] }
const PODS = { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch'] }

/** A rule as the server tells it to the one whom it concerns. */
interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
}

/** Values of the chart, what its account may do in its namespace, and nothing else anywhere. */
const CASES: readonly (readonly [name: string, settings: readonly string[], rules: readonly Rule[]])[] = [
  ['by default', [], []],
  ['with the source kubernetes', ['config.source=kubernetes', 'config.kubernetesService=web'], [SLICES]],
  ['with pods as seeds', ['seeds.from=pods'], [PODS]],
  ['with the check of Pods', ['config.kubernetesCheck=true'], [PODS]],
  ['with pods as seeds, without RBAC', ['seeds.from=pods', 'rbac.create=false'], []],
]

describe('the rights of the account that the chart makes', () => {
  let server: ApiServer

  beforeAll(async () => {
    server = await ApiServer.start({ controllers: ['statefulset-controller'] })
    await server.createNamespace('elsewhere')
  })
  afterAll(async () => {
    await server.stop()
  })

  async function install(namespace: string, settings: readonly string[]): Promise<string> {
    await server.createNamespace(namespace)
    const args = [
      'install',
      RELEASE,
      CHART,
      '--namespace',
      namespace,
      ...settings.flatMap((each) => ['--set', each]),
    ]
    const { code, stderr } = await server.helm(args)
    expect([code, stderr]).toEqual([0, ''])
    return server.requestToken(namespace, ACCOUNT)
  }

  /** The rules for objects that the server itself finds for a token, without those that everybody has. */
  async function rulesOf(token: string, namespace: string): Promise<Rule[]> {
    const apiVersion = 'authorization.k8s.io/v1'
    const body = { apiVersion, kind: 'SelfSubjectRulesReview', spec: { namespace } }
    const answer = await askApi(
      { ...server.admin, token },
      'POST',
      `/apis/${apiVersion}/selfsubjectrulesreviews`,
      { body },
    )
    const { status } = answer.body as { status: { incomplete: boolean; resourceRules: Rule[] } }
    expect(status.incomplete).toBe(false)
    return status.resourceRules
      .filter(({ resources }) => !resources.every((resource) => resource.startsWith('selfsubject')))
      .map(({ apiGroups, resources, verbs }) => ({ apiGroups, resources, verbs }))
  }

  test.for(CASES.map((each, i) => [...each, `rights-${i}`] as const))(
    '%s',
    async ([, settings, rules, namespace]) => {
      const token = await install(namespace, settings)
      expect(await rulesOf(token, namespace)).toEqual(rules)
      for (const other of ['elsewhere', 'default', 'kube-system'])
        expect(await rulesOf(token, other)).toEqual([])
    },
  )

  test('are enforced: it may list and watch, and nothing besides', async () => {
    const token = await install('enforced', ['config.source=kubernetes', 'config.kubernetesService=web'])
    const access = { ...server.admin, token }
    const slices = '/apis/discovery.k8s.io/v1/namespaces/enforced/endpointslices'
    const core = '/api/v1/namespaces/enforced'
    const statusOf = async (method: string, path: string, body?: unknown): Promise<number> =>
      (await askApi(access, method, path, body === undefined ? {} : { body })).status
    expect(await statusOf('GET', slices)).toBe(200)
    expect(await statusOf('GET', `${slices}?watch=1&timeoutSeconds=1`)).toBe(200)
    const slice = { metadata: { name: 'a' }, addressType: 'IPv4', endpoints: [] }
    const refused: readonly (readonly [string, string, unknown?])[] = [
      ['GET', `${slices}/a`],
      ['POST', slices, slice],
      ['DELETE', slices],
      ['PUT', `${slices}/a`, slice],
      ['GET', '/apis/discovery.k8s.io/v1/endpointslices'],
      ['GET', '/apis/discovery.k8s.io/v1/namespaces/elsewhere/endpointslices'],
      ['GET', '/apis/discovery.k8s.io/v1/namespaces/elsewhere/endpointslices?watch=1'],
      ...['pods', 'secrets', 'configmaps', 'services', `secrets/${ACCOUNT}-keyring`].map(
        (path) => ['GET', `${core}/${path}`] as const,
      ),
      [
        'POST',
        `${core}/pods`,
        { metadata: { name: 'a' }, spec: { containers: [{ name: 'a', image: 'a' }] } },
      ],
      ['POST', `${core}/serviceaccounts/${ACCOUNT}/token`, { spec: {} }],
      ['GET', '/api/v1/nodes'],
      ['GET', '/api/v1/namespaces'],
    ]
    for (const [method, path, body] of refused) {
      expect(`${method} ${path}: ${await statusOf(method, path, body)}`).toBe(`${method} ${path}: 403`)
    }
    // Once the Pod that it is bound to is gone, the token is no longer one. (The server remembers tokens for seconds.)
    const pods = async () => server.ask<{ items: { metadata: { name: string } }[] }>('GET', `${core}/pods`)
    await server.until('a Pod', async () => (await pods()).items.length > 0)
    const name = (await pods()).items[0]?.metadata.name ?? ''
    const bound = {
      ...server.admin,
      token: await server.requestToken('enforced', ACCOUNT, { kind: 'Pod', name }),
    }
    expect((await askApi(bound, 'GET', slices)).status).toBe(200)
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0 }
    await server.ask('DELETE', `${core}/pods/${name}`, { body })
    await server.until(
      'the bound token to be refused',
      async () => (await askApi(bound, 'GET', slices)).status === 401,
      40_000,
    )
  })
})
