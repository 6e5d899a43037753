import { randomInt } from 'node:crypto'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { ApiServer } from '../../support/api-server.ts'
import { PATCH_TYPES } from '../../support/kubernetes-api.ts'
import { RingProcess } from './ring-process.ts'

const NAMESPACE = 'gossip'
const ACCOUNT = 'member'
const SELECTOR = 'app=web'
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`
/** Gossip needs longer to find a member dead that does not answer; the preset `wan` at least 30 s. */
const AT_ONCE_MS = 20_000

/** Members of a gossiped ring whose Pods are real objects: each member is a process on its Pod's address. */
describe('gossip beside a real API server', () => {
  /** A loopback network of its own, so that the gossip port is free on every address. */
  const network = `127.${randomInt(1, 255)}.${randomInt(1, 255)}`
  let server: ApiServer
  let kubeconfig: string

  beforeAll(async () => {
    server = await ApiServer.start()
    await server.createNamespace(NAMESPACE)
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${NAMESPACE}`
    const metadata = { name: ACCOUNT }
    for (const name of ['default', ACCOUNT]) {
      const body = { metadata: { name }, automountServiceAccountToken: false }
      await server.ask('POST', `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`, { body })
    }
    const rules = [{ apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch'] }]
    await server.ask('POST', `${rbac}/roles`, { body: { metadata, rules } })
    await server.ask('POST', `${rbac}/rolebindings`, {
      body: {
        metadata,
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: ACCOUNT },
        subjects: [{ kind: 'ServiceAccount', name: ACCOUNT, namespace: NAMESPACE }],
      },
    })
    const token = await server.requestToken(NAMESPACE, ACCOUNT)
    kubeconfig = await server.writeKubeconfig('member', { token, namespace: NAMESPACE })
  })
  afterAll(async () => {
    await server.stop()
  })

  /** The object of a Pod that runs at an address. */
  async function createPod(name: string, address: string, labels: object = { app: 'web' }): Promise<void> {
    const spec = { nodeName: 'node-1', containers: [{ name: 'ringman', image: 'ringman' }] }
    await server.ask('POST', PODS, { body: { metadata: { name, labels }, spec } })
    const conditions = [{ type: 'Ready', status: 'True' }]
    await server.ask('PATCH', `${PODS}/${name}/status`, {
      body: { status: { phase: 'Running', podIP: address, podIPs: [{ ip: address }], conditions } },
      contentType: PATCH_TYPES.strategic,
    })
  }

  async function deletePod(name: string): Promise<void> {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0 }
    await server.ask('DELETE', `${PODS}/${name}`, { body })
  }

  function startMember(name: string, address: string, more: readonly string[]): Promise<RingProcess> {
    return RingProcess.start([
      '--source',
      'memberlist',
      '--name',
      name,
      '--bind',
      address,
      '--gossip-port',
      '7946',
      '--ring-key',
      'name',
      '--kubernetes-kubeconfig',
      kubeconfig,
      '--kubernetes-pod-selector',
      SELECTOR,
      ...more,
    ])
  }

  async function untilNames(
    ring: RingProcess,
    wanted: readonly string[],
    deadlineMs = 60_000,
  ): Promise<void> {
    await server.until(
      `the ring of ${wanted.join(', ')}`,
      async () => String((await ring.nodes()).map(({ name }) => name).sort()) === String(wanted),
      deadlineMs,
    )
  }

  test('pods: seeds are the addresses of real Pods, looked up again and again', async () => {
    const seeds = ['--seeds', 'pods:7946', '--preset', 'local']
    await createPod('seed-0', `${network}.10`)
    // Not of the selection: nobody is there, and nobody may ask it.
    await createPod('stranger', `${network}.99`, { app: 'other' })
    await using first = await startMember('seed-0', `${network}.10`, seeds)
    await untilNames(first, ['seed-0'])
    await createPod('seed-1', `${network}.11`)
    await using second = await startMember('seed-1', `${network}.11`, seeds)
    await createPod('seed-2', `${network}.12`)
    await using third = await startMember('seed-2', `${network}.12`, seeds)
    for (const member of [first, second, third]) await untilNames(member, ['seed-0', 'seed-1', 'seed-2'])
    for (const name of ['seed-0', 'seed-1', 'seed-2', 'stranger']) await deletePod(name)
  })

  test('a member whose Pod is deleted is declared left at once; one whose Pod is there is not', async () => {
    const names = ['check-0', 'check-1', 'check-2', 'check-3']
    const members: RingProcess[] = []
    await using stack = new AsyncDisposableStack()
    for (const [i, name] of names.entries()) {
      const address = `${network}.${20 + i}`
      await createPod(name, address)
      // With this preset gossip alone takes its time.
      const settings = ['--preset', 'wan', '--kubernetes-check', '--seeds', `${network}.20:7946`]
      members.push(stack.use(await startMember(name, address, settings)))
    }
    const [first, second, third, fourth] = members as [RingProcess, RingProcess, RingProcess, RingProcess]
    for (const member of members) await untilNames(member, names)

    // Both are silent from the same moment on; only the Pod of one is gone.
    third.process.signal('SIGSTOP')
    fourth.process.signal('SIGSTOP')
    await deletePod('check-3')
    for (const member of [first, second])
      await untilNames(member, ['check-0', 'check-1', 'check-2'], AT_ONCE_MS)

    // The API server away changes nothing.
    await server.stopApi('kill')
    await new Promise((resolve) => setTimeout(resolve, 3000))
    for (const member of [first, second]) await untilNames(member, ['check-0', 'check-1', 'check-2'])
    third.process.signal('SIGCONT')
    fourth.process.signal('SIGKILL')
    await server.startApi()
    for (const member of [first, second, third]) await untilNames(member, ['check-0', 'check-1', 'check-2'])
  })
})
