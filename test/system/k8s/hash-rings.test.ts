import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HASH_RING_GROUP, HASH_RINGS, parseHashRing } from '../../../src/rings/hash-ring-resource.ts'
import { ApiServer } from '../../support/api-server.ts'
import { GOSSIP_PORT, serve } from '../../support/child-process.ts'
import { askApi } from '../../support/kubernetes-api.ts'
import { PublishedSlices } from './published-slices.ts'
import { CHART } from './rendered-objects.ts'
import { RingProcess } from './ring-process.ts'

/** Where the chart is installed, and where its HashRings are. */
const HOME = 'rings'
const SHOP = 'shop'
const RELEASE = 'ring'
const ACCOUNT = `${RELEASE}-ringman`
const API_VERSION = `${HASH_RING_GROUP}/${HASH_RINGS.version}`
const INSTALL = [
  'install',
  RELEASE,
  CHART,
  '--namespace',
  HOME,
  '--set',
  'rings.enabled=true,rings.publish=true',
]

/** A HashRing as far as it is looked at here. */
interface HashRing {
  readonly metadata: { readonly name: string; readonly uid: string }
  readonly spec: Readonly<Record<string, unknown>>
  readonly status?: {
    readonly version?: number
    readonly digest?: string
    readonly nodeCount?: number
    readonly onRingCount?: number
    readonly publishedVersion?: number
    readonly nodes?: readonly { readonly name: string; readonly state: string; readonly share?: string }[]
    readonly lastChange?: { readonly cause: string; readonly node: string }
    readonly conditions?: readonly {
      readonly type: string
      readonly status: string
      readonly reason: string
      readonly message: string
    }[]
  }
}

interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
}

const service = { name: 'cache' }

/** Specs that are taken. */
const RIGHT: readonly object[] = [
  { service },
  { service: { name: '2nd', port: 'http-2' }, ringKey: 'Address', hold: '0s', brake: '0%' },
  { service, hold: '1h', brake: '100%', publish: {} },
  {
    service,
    hold: '3600000ms',
    brake: '7%',
    publish: { configMap: 'a.b', key: '.ring_1', format: 'Thanos' },
  },
  { service, hold: '59m59s1000ms' },
]

/** Specs that are refused, and what is said of them. */
const WRONG: readonly (readonly [spec: object, sentence: string])[] = [
  [{}, 'spec.service: Required value'],
  [{ service: {} }, 'spec.service.name: Required value'],
  [{ service: { name: 'Cache' } }, 'the name of a Service has 1 to 63 small letters'],
  [{ service: { name: '' } }, 'the name of a Service has 1 to 63 small letters'],
  [{ service: { name: 'a'.repeat(64) } }, 'spec.service.name: Too long'],
  [{ service: { name: 'cache', port: 'HTTP' } }, 'a port is given by its name'],
  [{ service, ringKey: 'Name' }, 'supported values: "PodName", "Address"'],
  [{ service, hold: '30' }, 'hold is a duration of hours, minutes, seconds and milliseconds up to 1h'],
  [{ service, hold: '1h1ms' }, 'hold is a duration of hours, minutes, seconds and milliseconds up to 1h'],
  [{ service, hold: '9999h' }, 'hold is a duration of hours, minutes, seconds and milliseconds up to 1h'],
  [{ service, hold: '-1s' }, 'hold is a duration of hours, minutes, seconds and milliseconds up to 1h'],
  [{ service, hold: '' }, 'hold is a duration of hours, minutes, seconds and milliseconds up to 1h'],
  [{ service, brake: '101%' }, 'brake is a whole percentage from 0% to 100%'],
  [{ service, brake: '05%' }, 'brake is a whole percentage from 0% to 100%'],
  [{ service, brake: '50' }, 'brake is a whole percentage from 0% to 100%'],
  [{ service, publish: { format: 'YAML' } }, 'supported values: "JSON", "Thanos"'],
  [{ service, publish: { configMap: 'a..b' } }, 'the name of a ConfigMap has 1 to 253'],
  [{ service, publish: { key: 'a/b' } }, 'a key of a ConfigMap has 1 to 253'],
  [{ service, publish: { key: '..a' } }, 'a key of a ConfigMap has 1 to 253'],
]

/** What the account may do where HashRings are. */
const RULES: readonly Rule[] = [
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
  { apiGroups: [HASH_RING_GROUP], resources: ['hashrings'], verbs: ['list', 'watch'] },
  { apiGroups: [HASH_RING_GROUP], resources: ['hashrings/status'], verbs: ['patch'] },
  { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create'] },
  { apiGroups: [''], resources: ['configmaps'], verbs: ['create', 'patch'] },
]

/** The chart with rings at a real API server, and `ringman serve` with the rights of its account. */
describe('HashRings at a real API server', () => {
  let server: ApiServer

  beforeAll(async () => {
    server = await ApiServer.start({
      controllers: ['clusterrole-aggregation-controller', 'garbage-collector-controller'],
    })
    for (const name of [HOME, SHOP]) await server.createNamespace(name)
    const { code, stderr } = await server.helm(INSTALL)
    expect([code, stderr]).toEqual([0, ''])
    await server.until(
      'HashRings to be served',
      async () => (await server.tryAsk('GET', pathOf(SHOP))).status === 200,
    )
  })
  afterAll(async () => {
    await server.stop()
  })

  function pathOf(namespace: string, name?: string): string {
    const all = `/apis/${API_VERSION}/namespaces/${namespace}/${HASH_RINGS.plural}`
    return name === undefined ? all : `${all}/${name}`
  }

  const hashRing = (name: string, spec: object) => ({
    apiVersion: API_VERSION,
    kind: 'HashRing',
    metadata: { name },
    spec,
  })

  /** Runs kubectl, which must succeed. */
  async function kubectl(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await server.kubectl(args)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    return stdout
  }

  /** Starts a member with an account's rights. */
  async function start(name: string, token: string, ...more: string[]): Promise<RingProcess> {
    return RingProcess.start(await argsOf(name, token, more))
  }

  async function argsOf(name: string, token: string, more: readonly string[]): Promise<string[]> {
    const kubeconfig = await server.writeKubeconfig(name, { token })
    return [
      '--source',
      'memberlist',
      '--name',
      name,
      ...GOSSIP_PORT,
      '--ring-key',
      'name',
      '--kubernetes-kubeconfig',
      kubeconfig,
      '--hash-rings',
      'true',
      '--hash-ring-publish',
      'true',
      ...more,
    ]
  }

  async function untilRing(
    name: string,
    what: string,
    holds: (ring: HashRing) => boolean,
  ): Promise<HashRing> {
    let ring: HashRing | undefined
    try {
      await server.until(what, async () => {
        ring = await server.ask<HashRing>('GET', pathOf(SHOP, name))
        return holds(ring)
      })
    } catch (error) {
      throw new Error(JSON.stringify(ring?.status), { cause: error })
    }
    return ring!
  }

  const conditionOf = ({ status }: HashRing, type: string) =>
    status?.conditions?.find((condition) => condition.type === type)?.status

  test('kubectl explains them', async () => {
    await server.until('the descriptions to be published', async () => {
      return (await server.kubectl(['explain', 'hashring'])).code === 0
    })
    expect(await kubectl('explain', 'hashring.spec.hold')).toContain('a duration up to 1h, such as 30s')
    expect(await kubectl('explain', 'hring.status.version')).toContain('never falls')
    for (const field of [
      'spec',
      'spec.service',
      'spec.publish',
      'status',
      'status.nodes',
      'status.lastChange',
    ]) {
      const text = await kubectl('explain', `hashring.${field}`)
      expect(text, field).not.toContain('<no description>')
    }
  })

  test.for(RIGHT.map((spec, i) => [JSON.stringify(spec), spec, `right-${i}`] as const))(
    '%s is taken, by the API server and by ringman',
    async ([, spec, name]) => {
      const body = hashRing(name, spec)
      const made = await server.ask<HashRing>('POST', `${pathOf(SHOP)}?dryRun=All`, { body })
      expect(made.spec).toMatchObject({ ringKey: 'PodName', hold: '30s', brake: '50%', ...spec })
      const { resourceVersion = '1', ...metadata } = made.metadata as { resourceVersion?: string }
      const parsed = parseHashRing({ ...made, metadata: { ...metadata, resourceVersion } })
      expect(parsed).toMatchObject({ name: `${SHOP}/${name}`, problem: undefined })
      // The schema's defaults are ringman's own.
      const bare = parseHashRing({ ...made, metadata: { ...metadata, resourceVersion }, spec })
      expect(parsed?.spec).toEqual(bare?.spec)
    },
  )

  test.for(WRONG.map(([spec, sentence]) => [JSON.stringify(spec), spec, sentence] as const))(
    '%s is refused with a sentence',
    async ([, spec, sentence]) => {
      const body = hashRing('wrong', spec)
      const { status, body: answer } = await server.tryAsk('POST', `${pathOf(SHOP)}?dryRun=All`, { body })
      expect(status).toBe(422)
      expect((answer as { message: string }).message).toContain(sentence)
    },
  )

  test.for(['a.b', 'a'.repeat(64)])('the name %s is refused', async (name) => {
    const { status } = await server.tryAsk('POST', pathOf(SHOP), { body: hashRing(name, { service }) })
    expect(status).toBe(422)
  })

  /** The rules for objects that the server finds for a token, without those that everybody has. */
  async function rulesOf(token: string, namespace: string): Promise<Rule[]> {
    const apiVersion = 'authorization.k8s.io/v1'
    const body = { apiVersion, kind: 'SelfSubjectRulesReview', spec: { namespace } }
    const path = `/apis/${apiVersion}/selfsubjectrulesreviews`
    const answer = await askApi({ ...server.admin, token }, 'POST', path, { body })
    const { status } = answer.body as { status: { resourceRules: Rule[] } }
    return status.resourceRules
      .filter(({ resources }) => !resources.every((resource) => resource.startsWith('selfsubject')))
      .map(({ apiGroups, resources, verbs }) => ({ apiGroups, resources, verbs }))
  }

  test('the account has the rights for rings, and no others', async () => {
    const token = await server.requestToken(HOME, ACCOUNT)
    for (const namespace of [SHOP, HOME]) {
      const rules = await rulesOf(token, namespace)
      expect(rules).toHaveLength(RULES.length)
      expect(rules).toEqual(expect.arrayContaining([...RULES]))
    }
  })

  test('a release for some namespaces has rights in them alone; one definition is enough', async () => {
    const values = 'rings.enabled=true,rings.namespaces={of-other}'
    const other = ['install', 'other-ringman', CHART, '--namespace', 'other', '--set', values]
    for (const name of ['other', 'of-other']) await server.createNamespace(name)
    const refused = await server.helm(other)
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain(
      'the definition hashrings.ringman.dev is there already, of the release ring in the namespace rings',
    )
    const { code, stderr } = await server.helm([...other, '--set', 'crds.enabled=false'])
    expect([code, stderr]).toEqual([0, ''])
    const token = await server.requestToken('other', 'other-ringman')
    const rules = await rulesOf(token, 'of-other')
    expect(rules).toHaveLength(RULES.length - 1)
    expect(RULES).toEqual(expect.arrayContaining(rules))
    for (const namespace of ['other', SHOP, 'default']) expect(await rulesOf(token, namespace)).toEqual([])
  })

  test.for(
    RULES.flatMap(({ apiGroups, resources, verbs }) =>
      // A server-side apply of what is not there needs both; `patch` alone is needed for what is.
      verbs.map((verb) => ({ apiGroups, resources, verbs, verb, what: `${verb} ${resources.join()}` })),
    ),
  )('without $what it says which right is missing', async ({ resources, verb }) => {
    const [resource = ''] = resources
    const namespace = `lacks-${verb}-${resource.replace('/', '-')}`
    await server.createNamespace(namespace)
    const metadata = { name: 'member' }
    const rules = RULES.map((rule) => ({
      ...rule,
      verbs: rule.verbs.filter((each) => !(rule.resources[0] === resource && each === verb)),
    })).filter(({ verbs }) => verbs.length > 0)
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`
    await server.ask('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, { body: { metadata } })
    await server.ask('POST', `${rbac}/roles`, { body: { metadata, rules } })
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'member' }
    const subjects = [{ kind: 'ServiceAccount', name: 'member', namespace }]
    await server.ask('POST', `${rbac}/rolebindings`, { body: { metadata, roleRef, subjects } })
    await new PublishedSlices(server, namespace, 'cache').put('cache-0', [{ pod: 'a', address: '10.77.5.1' }])
    const body = hashRing('cache', { service: { name: 'cache', port: 'http' }, publish: {} })
    await server.ask('POST', pathOf(namespace), { body })
    const token = await server.requestToken(namespace, 'member')
    const args = await argsOf(namespace, token, ['--hash-ring-namespaces', namespace])
    await using process = serve(args)
    await process.until(`the right to ${verb} ${resource}`, () =>
      process.outLines.find((line) => line.includes('does not let this account') && line.includes(resource)),
    )
  })

  test('those who may edit make them, those who may view see them, others do not', async () => {
    for (const role of ['edit', 'view']) {
      const binding = ['create', 'rolebinding', role, `--clusterrole=${role}`, `--user=${role}or`, '-n', SHOP]
      await kubectl(...binding)
    }
    const may = async (user: string, verb: string, ...more: string[]) => {
      const args = ['auth', 'can-i', verb, 'hashrings.ringman.dev', '-n', SHOP, '--as', user, ...more]
      return (await server.kubectl(args)).stdout.trim()
    }
    await server.until('the roles to be added', async () => (await may('editor', 'create')) === 'yes')
    await server.until('the roles to be added', async () => (await may('viewor', 'watch')) === 'yes')
    expect(await may('editor', 'get')).toBe('yes')
    expect(await may('viewor', 'create')).toBe('no')
    expect(await may('editor', 'patch', '--subresource=status')).toBe('no')
    expect(await may('stranger', 'get')).toBe('no')
  })

  test('two members agree, the brake keeps the ring, and the command in the status lets it go', async () => {
    const token = await server.requestToken(HOME, ACCOUNT)
    const pods = [1, 2, 3, 4].map((i) => ({ pod: `queue-${i}`, address: `10.77.6.${i}` }))
    const slices = new PublishedSlices(server, SHOP, 'queue')
    await slices.put('queue-0', pods)
    const [one, two] = [server.host, server.host.replace(/\d+$/, '1')]
    const at = (address: string) => ['--bind', address, '--http-host', address, '--gossip-port', '7946']
    await using first = await start('queue-a', token, ...at(one))
    await using second = await start('queue-b', token, ...at(two), '--seeds', `${one}:7946`)
    await server.ask('POST', pathOf(SHOP), {
      body: hashRing('queue', { service: { name: 'queue', port: 'http' }, hold: '2s' }),
    })
    const messageOf = (ring: HashRing, type: string) =>
      ring.status?.conditions?.find((condition) => condition.type === type)?.message ?? ''
    const agreed = await untilRing('queue', 'both to hold it', (ring) =>
      messageOf(ring, 'Settled').includes('All 2 pods'),
    )
    expect(agreed.status).toMatchObject({ version: 1, onRingCount: 4 })

    await slices.put(
      'queue-0',
      pods.map((pod, i) => ({ ...pod, ready: i === 0 })),
    )
    const braked = await untilRing('queue', 'the brake', (ring) => conditionOf(ring, 'Degraded') === 'True')
    expect(braked.status?.conditions).toContainEqual(expect.objectContaining({ reason: 'BrakeOn' }))
    // Longer than the hold, after which they would be off the ring.
    await new Promise((resolve) => setTimeout(resolve, 3000))
    const ringAt = async ({ url }: RingProcess) =>
      (await (await fetch(`${url}/v1/rings/${SHOP}/queue/ring`)).json()) as { nodes: unknown[] }
    for (const member of [first, second]) expect((await ringAt(member)).nodes).toHaveLength(4)

    const [, command = ''] = /To accept the loss: kubectl (.+)$/.exec(messageOf(braked, 'Degraded')) ?? []
    await kubectl(...command.split(' '))
    const accepted = await untilRing('queue', 'the loss', ({ status }) => status?.onRingCount === 1)
    expect(accepted.status?.version).toBeGreaterThan(1)
    expect(conditionOf(accepted, 'Degraded')).toBe('False')
    for (const member of [first, second]) {
      await server.until('both to take the loss', async () => (await ringAt(member)).nodes.length === 1)
    }
  })

  test('a ring follows its Service: status, columns, events, ConfigMap, and it goes with its HashRing', async () => {
    const token = await server.requestToken(HOME, ACCOUNT)
    const slices = new PublishedSlices(server, SHOP, 'cache')
    const [a, b, c] = [1, 2, 3].map((i) => ({ pod: `cache-${i}`, address: `10.77.3.${i}`, zone: `z${i}` }))
    await slices.put('cache-0', [a!, b!])
    await using first = await start('first', token)
    const spec = { service: { name: 'cache', port: 'http' }, publish: {} }
    await server.ask('POST', pathOf(SHOP), { body: hashRing('cache', spec) })

    await kubectl('wait', '-n', SHOP, 'hashring/cache', '--for=condition=Ready', '--timeout=120s')
    const made = await untilRing(
      'cache',
      'the ring to be published',
      ({ status }) => status?.publishedVersion === 1 && status.conditions?.length === 4,
    )
    expect(made.status).toMatchObject({
      observedGeneration: 1,
      version: 1,
      nodeCount: 2,
      onRingCount: 2,
      nodes: [
        { name: 'cache-1', address: '10.77.3.1', port: 8000, zone: 'z1', state: 'alive' },
        { name: 'cache-2', address: '10.77.3.2', port: 8000, zone: 'z2', state: 'alive' },
      ],
    })
    expect(conditionOf(made, 'Accepted')).toBe('True')
    expect(conditionOf(made, 'Degraded')).toBe('False')
    const settled = await untilRing(
      'cache',
      'all to agree',
      (ring) => conditionOf(ring, 'Settled') === 'True',
    )
    const [head = '', row = ''] = (await kubectl('get', 'hring', 'cache', '-n', SHOP)).trim().split('\n')
    expect(head.split(/\s{2,}/)).toEqual([
      'NAME',
      'READY',
      'NODES',
      'ON-RING',
      'DIGEST',
      'MAX/MEAN',
      'LAST-CHANGE',
      'AGE',
    ])
    expect(row).toMatch(new RegExp(`^cache +True +2 +2 +${settled.status?.digest} +1\\.\\d\\d +`))

    const ringOf = async () => {
      const answer = await fetch(`${first.url}/v1/rings/${SHOP}/cache/ring`)
      return [answer.status, (await answer.json()) as { digest: string; nodes: { name: string }[] }] as const
    }
    expect((await ringOf())[1].digest).toBe(settled.status?.digest)
    const map = `/api/v1/namespaces/${SHOP}/configmaps/cache`
    const published = async () => {
      const { data } = await server.ask<{ data: Record<string, string> }>('GET', map)
      return JSON.parse(data['ring.json'] ?? '') as { version: number; digest: string; nodes: unknown[] }
    }
    expect(await published()).toMatchObject({ version: 1, digest: settled.status?.digest })

    await slices.put('cache-0', [a!, b!, c!])
    const grown = await untilRing('cache', 'the ring to grow', ({ status }) => status?.publishedVersion === 2)
    expect(grown.status).toMatchObject({
      version: 2,
      onRingCount: 3,
      lastChange: { cause: 'joined', node: 'cache-3', count: 1 },
    })
    expect((await published()).nodes).toHaveLength(3)

    const events = await kubectl('get', 'events', '-n', SHOP, '--field-selector', 'reason=RingChanged')
    expect(events).toMatch(
      /Normal +RingChanged +hashring\/cache +cache-3: joined, \d+\.\d\d% of the keys moved; version 2 has 3 nodes/,
    )

    // One that starts later goes on with the numbers, and writes nothing that is there already.
    await first[Symbol.asyncDispose]()
    await using second = await start('second', token)
    await slices.put('cache-0', [a!, { ...b!, address: '10.77.4.2' }, c!])
    await untilRing(
      'cache',
      'the address',
      ({ status }) => status?.version === 3 && status.publishedVersion === 3,
    )

    await server.ask('DELETE', pathOf(SHOP, 'cache'))
    await server.until('the ring to go', async () => {
      return (await fetch(`${second.url}/v1/rings/${SHOP}/cache/ring`)).status === 404
    })
    await server.until('its ConfigMap to go', async () => (await server.tryAsk('GET', map)).status === 404)
    for (const { process } of [first, second]) expect(process.out).not.toContain('does not let this account')
  })

  test('a ConfigMap that is not the HashRing’s is left alone until it is given to it', async () => {
    const token = await server.requestToken(HOME, ACCOUNT)
    const map = `/api/v1/namespaces/${SHOP}/configmaps`
    interface ConfigMap {
      readonly metadata: { readonly resourceVersion: string; readonly annotations?: Record<string, string> }
      readonly data: Readonly<Record<string, string>>
    }
    const theirs = await server.ask<ConfigMap>('POST', map, {
      body: { metadata: { name: 'theirs' }, data: { password: 'x' } },
    })
    const slices = new PublishedSlices(server, SHOP, 'books')
    await slices.put('books-0', [{ pod: 'a', address: '10.77.7.1' }])
    await using member = await start('books', token)
    const spec = { service: { name: 'books', port: 'http' }, publish: { configMap: 'theirs' } }
    await server.ask('POST', pathOf(SHOP), { body: hashRing('books', spec) })
    const refused = await untilRing(
      'books',
      'the refusal',
      (ring) => conditionOf(ring, 'Degraded') === 'True',
    )
    const { reason, message = '' } = refused.status?.conditions?.find(({ type }) => type === 'Degraded') ?? {}
    expect(reason).toBe('PublishFailed')
    expect(await server.ask('GET', `${map}/theirs`)).toEqual(theirs)

    const [, command = ''] = /kubectl (.+) \(/.exec(message) ?? []
    await kubectl(...command.split(' '))
    await untilRing('books', 'the ring to be published', ({ status }) => status?.publishedVersion === 1)
    const given = await server.ask<ConfigMap>('GET', `${map}/theirs`)
    expect(Object.keys(given.data)).toEqual(['ring.json'])

    // A newer ring in it stays; another one's change between look and write is a conflict, and is tried again.
    const annotations = { ...given.metadata.annotations, [`${HASH_RING_GROUP}/version`]: '99' }
    await server.ask('PATCH', `${map}/theirs`, {
      body: { metadata: { annotations }, data: { 'ring.json': 'newer' } },
      contentType: 'application/merge-patch+json',
    })
    await slices.put('books-0', [
      { pod: 'a', address: '10.77.7.1' },
      { pod: 'b', address: '10.77.7.2' },
    ])
    await untilRing('books', 'the next version', ({ status }) => status?.publishedVersion === 2)
    expect((await server.ask<ConfigMap>('GET', `${map}/theirs`)).data).toEqual({ 'ring.json': 'newer' })
    expect(member.process.out).not.toContain('does not let this account')
  })

  test('two installations that watch one namespace say so, and do not write in turns', async () => {
    const token = await server.requestToken(HOME, ACCOUNT)
    const slices = new PublishedSlices(server, SHOP, 'twice')
    await slices.put('twice-0', [{ pod: 'a', address: '10.77.8.1' }])
    await server.ask('POST', pathOf(SHOP), {
      body: hashRing('twice', { service: { name: 'twice', port: 'http' } }),
    })
    await using one = await start('one', token, '--hash-ring-installation', 'rings/one')
    const first = await untilRing('twice', 'the status', ({ status }) => status?.version === 1)
    expect(first.status).toMatchObject({ installation: { name: 'rings/one' } })
    await using two = await start('two', token, '--hash-ring-installation', 'ops/two')
    const found = await untilRing(
      'twice',
      'the other one',
      ({ status }) =>
        status?.conditions?.some((condition) => condition.reason === 'SeveralInstallations') === true,
    )
    expect(found.status).toMatchObject({ otherInstallations: [{ name: 'ops/two' }] })
    const before = await untilRing('twice', 'all to agree', (ring) => conditionOf(ring, 'Settled') === 'True')
    await new Promise((resolve) => setTimeout(resolve, 3000))
    const after = await server.ask<HashRing>('GET', pathOf(SHOP, 'twice'))
    expect(after.metadata).toEqual(before.metadata)
    await slices.put('twice-0', [
      { pod: 'a', address: '10.77.8.1' },
      { pod: 'b', address: '10.77.8.2' },
    ])
    await untilRing('twice', 'the change', ({ status }) => status?.version === 2)
    for (const { url } of [one, two]) {
      const owner = await fetch(`${url}/v1/rings/${SHOP}/twice/owner?key=k`)
      await server.until('both to know the version', async () => {
        const again = await fetch(`${url}/v1/rings/${SHOP}/twice/owner?key=k`)
        return ((await again.json()) as { version?: number }).version === 2
      })
      expect(owner.status).toBe(200)
    }
  })

  test('the definition and the HashRings outlive the release, and a new one takes them over', async () => {
    await server.ask('POST', pathOf(SHOP), { body: hashRing('lasting', { service }) })
    const uninstalled = await server.helm(['uninstall', RELEASE, '--namespace', HOME, '--wait'])
    expect([uninstalled.code, uninstalled.stderr]).toEqual([0, ''])
    const { metadata } = await server.ask<HashRing>('GET', pathOf(SHOP, 'lasting'))
    // Upgrading is installing over what an older chart has left.
    const definition = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/hashrings.${HASH_RING_GROUP}`
    const path = ['spec', 'versions', '0', 'additionalPrinterColumns'].join('/')
    const body = [{ op: 'remove', path: `/${path}` }]
    await server.ask('PATCH', definition, { body, contentType: 'application/json-patch+json' })
    const { code, stderr } = await server.helm([...INSTALL, '--force-conflicts'])
    expect([code, stderr]).toEqual([0, ''])
    expect((await server.ask<HashRing>('GET', pathOf(SHOP, 'lasting'))).metadata.uid).toBe(metadata.uid)
    expect(await kubectl('get', 'hashrings', '-n', SHOP)).toContain('LAST-CHANGE')
  })
})
