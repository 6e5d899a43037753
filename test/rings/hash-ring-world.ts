import { onTestFinished } from 'vitest'
import { ApiClient } from '../../src/kubernetes/api-client.ts'
import { HashRingController } from '../../src/rings/hash-ring-controller.ts'
import { NO_RINGS, type KeptRings, type RingPeers } from '../../src/rings/ring-peers.ts'
import { StatusWriter } from '../../src/rings/status-writer.ts'
import type { RingService } from '../../src/service/ring-service.ts'
import { COLLECTIONS, FakeKubernetesApi, type FakeObject } from '../support/fake-kubernetes-api.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { sliceOf, type SlicePod } from '../membership/kubernetes/slice-fixtures.ts'

/** The other pods of one that is tested. */
export interface FakePeers extends Pick<RingPeers, 'ask' | 'withNodes' | 'fingerprints'> {
  kept: KeptRings
  told: ReadonlyMap<string, ReadonlyMap<string, string> | undefined>
}

/** HashRings and slices in a fake API server, and pods of ringman that follow them. */
export class HashRingWorld {
  readonly clock = new VirtualClock()
  readonly api = new FakeKubernetesApi(this.clock, () => 0.9)
  readonly logger = new RecordingLogger()

  putRing(
    name: string,
    spec: object = { service: { name: 'cache' } },
    more: Partial<FakeObject['metadata']> = {},
  ) {
    const [namespace = '', local = ''] = name.split('/')
    const before = this.api.get(COLLECTIONS.hashRings, name)
    this.api.put(COLLECTIONS.hashRings, {
      apiVersion: 'ringman.dev/v1alpha1',
      kind: 'HashRing',
      metadata: { name: local, namespace, generation: 1, uid: `uid-${name}`, ...more },
      spec,
      ...(before?.['status'] !== undefined && { status: before['status'] }),
    })
  }

  removeRing(name: string): void {
    this.api.remove(COLLECTIONS.hashRings, name)
  }

  putSlice(namespace: string, service: string, pods: readonly SlicePod[], name = `${service}-a`): void {
    const slice = sliceOf(name, pods, { labels: { 'kubernetes.io/service-name': service } })
    this.api.put(COLLECTIONS.allSlices, { ...slice, metadata: { ...slice.metadata, namespace } })
  }

  status(name: string): Readonly<Record<string, unknown>> {
    return (this.api.get(COLLECTIONS.hashRings, name)?.['status'] ?? {}) as Record<string, unknown>
  }

  condition(name: string, type: string): string | undefined {
    const conditions = (this.status(name)['conditions'] ?? []) as {
      type: string
      status: string
      reason: string
    }[]
    const found = conditions.find((one) => one.type === type)
    return found && `${found.status} ${found.reason}`
  }

  /** A pod of ringman, started. */
  async pod(
    options: Partial<ConstructorParameters<typeof HashRingController>[0]> = {},
  ): Promise<HashRingController> {
    const controller = this.controller(options)
    controller.start()
    await this.clock.advance(1500)
    return controller
  }

  controller(options: Partial<ConstructorParameters<typeof HashRingController>[0]> = {}): HashRingController {
    const controller = new HashRingController({
      client: new ApiClient(this.api.transport(), this.clock),
      namespaces: [],
      mayPublish: true,
      peers: this.peers(),
      clock: this.clock,
      random: () => 0.5,
      logger: this.logger,
      ...options,
    })
    onTestFinished(() => controller.stop())
    return controller
  }

  peers(kept: KeptRings = NO_RINGS): FakePeers {
    const peers: FakePeers = {
      kept,
      told: new Map(),
      ask: () => Promise.resolve(peers.kept),
      withNodes: (given) => Promise.resolve(given),
      fingerprints: () => Promise.resolve(peers.told),
    }
    return peers
  }

  /** Writes the statuses of the rings whose names `owns` accepts. */
  writer(
    controller: HashRingController,
    peers: FakePeers = this.peers(),
    owns: (name: string) => boolean = () => true,
    installation = 'ringman',
  ): StatusWriter {
    const writer = new StatusWriter({
      controller,
      own: { state: 'running', unsure: false, owns } as unknown as RingService,
      peers,
      client: new ApiClient(this.api.transport(), this.clock),
      installation,
      podName: 'ringman-0',
      clock: this.clock,
      random: () => 0.5,
      logger: this.logger,
    })
    onTestFinished(() => writer.stop())
    writer.start()
    return writer
  }
}
