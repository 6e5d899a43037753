import type { ServeConfig } from '../config/serve-settings.ts'
import { ApiClient } from '../kubernetes/api-client.ts'
import { HashRingController } from '../rings/hash-ring-controller.ts'
import { RingPeers } from '../rings/ring-peers.ts'
import { StatusWriter } from '../rings/status-writer.ts'
import type { RingService } from '../service/ring-service.ts'
import { kubernetesTransport, type Surroundings } from './create-source.ts'

/** Wires what makes rings of HashRings; undefined where the configuration does not want them. */
export function createHashRings(config: ServeConfig, own: RingService, surroundings: Surroundings) {
  if (!config.hashRings) return undefined
  const client = new ApiClient(kubernetesTransport(config, surroundings), surroundings.clock)
  const peers = new RingPeers(own, surroundings)
  const controller = new HashRingController({
    ...surroundings,
    client,
    peers,
    namespaces: config.hashRingNamespaces,
    mayPublish: config.hashRingPublish,
  })
  const writer = new StatusWriter({
    ...surroundings,
    controller,
    own,
    peers,
    client,
    installation: config.hashRingInstallation,
    podName: config.name,
  })
  return {
    controller,
    writer,
    start() {
      controller.start()
      writer.start()
    },
    async stop() {
      await writer.stop()
      await controller.stop()
    },
  }
}
