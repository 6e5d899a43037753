import { glob, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseAllDocuments, stringify } from 'yaml'
import { ApiServer } from '../../support/api-server.ts'
import { goModuleFolder } from '../../support/go-module.ts'

const RECIPES = resolve(import.meta.dirname, '../../../examples/proxies')

/** The modules that carry the definitions, as their projects publish them, and where in them. */
const DEFINITIONS = [
  ['github.com/envoyproxy/gateway', 'v1.9.1', 'charts/gateway-helm/charts/crds/crds/**/*.yaml'],
  ['istio.io/api', 'v1.32.0', 'kubernetes/customresourcedefinitions.gen.yaml'],
] as const

interface Resource {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string }
  readonly spec: Readonly<Record<string, unknown>>
}

const resources: Resource[] = []
for (const name of ['envoy-gateway.yaml', 'istio.yaml']) {
  const text = await readFile(join(RECIPES, name), 'utf8')
  resources.push(...parseAllDocuments(text).map((document) => document.toJS() as Resource))
}

const gateway = { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'front' }
const route = { ...gateway, kind: 'HTTPRoute', name: 'application' }

/** Changes that a rule of the definition forbids, which no schema can say, and what the server answers. */
const WRONG: readonly (readonly [kind: string, change: object, sentence: string])[] = [
  [
    'HTTPRoute',
    { rules: [{ backendRefs: [{ name: 'application' }] }] },
    'Must have port for Service reference',
  ],
  [
    'ClientTrafficPolicy',
    { targetRefs: [route] },
    'this policy can only have a targetRefs[*].kind of Gateway',
  ],
  [
    'SecurityPolicy',
    { targetRefs: [{ ...route, kind: 'Service' }] },
    'this policy can only have a targetRefs[*].kind of Gateway/ListenerSet/HTTPRoute',
  ],
  [
    'SecurityPolicy',
    { extAuth: { http: { path: '/v1/route' } } },
    'backendRef or backendRefs needs to be set',
  ],
  [
    'BackendTrafficPolicy',
    { loadBalancer: { type: 'ConsistentHash' } },
    'If LoadBalancer type is consistentHash, consistentHash field needs to be set',
  ],
  ['VirtualService', { http: [{ timeout: '0s' }] }, 'must be a valid duration greater than 1ms'],
  [
    'AuthorizationPolicy',
    { targetRefs: [gateway], selector: { matchLabels: { istio: 'ingressgateway' } } },
    'only one of targetRefs or selector can be set',
  ],
  [
    'EnvoyFilter',
    { targetRefs: [gateway], workloadSelector: { labels: { istio: 'ingressgateway' } } },
    'only one of targetRefs or workloadSelector can be set',
  ],
]

/** `examples/proxies` at a real API server with the definitions of Gateway API, Envoy Gateway and Istio. */
describe('the resources for Envoy Gateway and Istio', () => {
  let server: ApiServer

  const create = (resource: Resource) =>
    server.kubectl(
      ['create', '--validate=strict', '--warnings-as-errors', '--filename', '-'],
      stringify(resource),
    )

  beforeAll(async () => {
    server = await ApiServer.start()
    await server.createNamespace('istio-system')
    for (const [module, version, files] of DEFINITIONS) {
      const folder = await goModuleFolder(module, version, import.meta.dirname)
      for await (const file of glob(join(folder, files))) {
        // What the `apply` of clients remembers of them would be too large.
        const { code, stderr } = await server.kubectl(['apply', '--server-side', '--filename', file])
        expect([code, stderr]).toEqual([0, ''])
      }
    }
    const wait = ['wait', '--for=condition=Established', '--timeout=120s', 'crds', '--all']
    expect((await server.kubectl(wait)).code).toBe(0)
  })
  afterAll(async () => {
    await server.stop()
  })

  test.each(resources.map((resource) => [resource.kind, resource] as const))(
    'the server takes the %s, with all rules of its definition, without a warning',
    async (_, resource) => {
      const { code, stderr } = await create(resource)
      expect([code, stderr]).toEqual([0, ''])
    },
  )

  test.each(WRONG)('and would refuse a %s that breaks a rule: %j', async (kind, change, sentence) => {
    const { spec, metadata, ...rest } = resources.find((resource) => resource.kind === kind)!
    const { code, stderr } = await create({
      ...rest,
      metadata: { ...metadata, name: 'wrong' },
      spec: { ...spec, ...change },
    })
    expect([code, stderr]).toEqual([1, expect.stringContaining(sentence)])
  })

  test.each(resources.map((resource) => [resource.kind, resource] as const))(
    'and a %s with a field that is not there',
    async (_, { metadata, spec, ...rest }) => {
      const { code, stderr } = await create({
        ...rest,
        metadata: { ...metadata, name: 'wrong' },
        spec: { ...spec, targetRefz: [] },
      })
      expect([code, stderr]).toEqual([1, expect.stringContaining('unknown field "spec.targetRefz"')])
    },
  )
})
