import { afterAll, beforeAll } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { ApiClient } from '../../../src/kubernetes/api-client.ts'
import { HttpsTransport } from '../../../src/kubernetes/https-transport.ts'
import { KubeconfigAccess } from '../../../src/kubernetes/kubeconfig-access.ts'
import { describeKubernetesApi } from '../../contract/kubernetes-api.ts'
import { ApiServer } from '../../support/api-server.ts'

let server: ApiServer
let namespaces = 0

beforeAll(async () => {
  server = await ApiServer.start()
})
afterAll(async () => {
  await server.stop()
})

// `test/contract/kubernetes-api.test.ts` holds the one of the tests to the same.
describeKubernetesApi('the real server', async () => {
  const namespace = `contract-${++namespaces}`
  await server.createNamespace(namespace)
  const path = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`
  const { kubeconfig } = server
  const transport = new HttpsTransport(new KubeconfigAccess(kubeconfig, () => systemClock.now()), 'test')
  return {
    client: new ApiClient(transport, systemClock),
    namespace,
    put: async (slice) => {
      const { name } = slice.metadata
      const there = await server.tryAsk('GET', `${path}/${name}`)
      const body = slice
      await (there.status === 200
        ? server.ask('PUT', `${path}/${name}`, { body })
        : server.ask('POST', path, { body }))
    },
    remove: async (name) => {
      await server.ask('DELETE', `${path}/${name}`)
    },
    compact: async () => {
      // The server itself remembers what etcd has forgotten, until it is started again.
      await server.stopApi()
      await server.compact()
      await server.startApi()
    },
  }
})
