import { systemClock } from '../../src/clock.ts'
import { ApiClient } from '../../src/kubernetes/api-client.ts'
import { FakeKubernetesApi } from '../support/fake-kubernetes-api.ts'
import { describeKubernetesApi } from './kubernetes-api.ts'

const PATH = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices'

// `test/system/k8s/kubernetes-api.test.ts` holds the real one to the same.
describeKubernetesApi('the tests', () => {
  const api = new FakeKubernetesApi(systemClock, Math.random)
  return Promise.resolve({
    client: new ApiClient(api.transport(), systemClock),
    namespace: 'default',
    put: async (slice) => {
      await Promise.resolve()
      api.put(PATH, slice)
    },
    remove: (name) => Promise.resolve(api.remove(PATH, name)),
    compact: () => Promise.resolve(api.compact()),
  })
})
