import { COLLECTIONS, type FakeKubernetesApi } from '../../support/fake-kubernetes-api.ts'
import { PHASES, sliceOf } from './slice-fixtures.ts'

export type Phase = keyof typeof PHASES

interface WorldPod {
  readonly address: string
  readonly uid: string
  readonly phase: Phase
  readonly slice: number
}

const SLICES = ['cache-a', 'cache-b', 'cache-c']

/** A Service, its pods and its slices, written to a fake API as the controllers of Kubernetes would. */
export class SliceWorld {
  /** `NAME ADDRESS` of every place that ever served. */
  readonly everServed = new Set<string>()
  readonly #api: FakeKubernetesApi
  readonly #pods = new Map<number, WorldPod>()
  #made = 0
  #exists = true

  constructor(api: FakeKubernetesApi) {
    this.#api = api
    this.#write()
  }

  get serviceExists(): boolean {
    return this.#exists
  }

  /** Sets the phase of a pod, and creates it where there is none. */
  setPhase(n: number, phase: Phase): void {
    const pod = this.#pods.get(n) ?? this.#newPod(n % SLICES.length)
    this.#pods.set(n, { ...pod, phase })
    this.#write()
  }

  /** A pod that is gone from one moment to the next. */
  remove(n: number): void {
    if (this.#pods.delete(n)) this.#write()
  }

  /** A pod of the same name, not ready yet, at another address. */
  replace(n: number): void {
    const before = this.#pods.get(n)
    if (before === undefined) return
    this.#pods.set(n, this.#newPod(before.slice))
    this.#write()
  }

  /** The endpoint moves to another slice: it is in both for a moment, or in none. */
  move(n: number, to: number): void {
    const pod = this.#pods.get(n)
    if (pod === undefined) return
    const order = to % 2 === 0 ? [to, pod.slice] : [pod.slice, to]
    this.#pods.set(n, { ...pod, slice: to })
    for (const slice of order) this.#writeSlice(slice)
  }

  deleteService(): void {
    this.#exists = false
    for (const name of SLICES) this.#api.remove(COLLECTIONS.slices, name)
  }

  restoreService(): void {
    this.#exists = true
    this.#write()
  }

  /** `NAME ADDRESS:PORT` of whoever is to be on the ring, sorted by name. */
  truth(): string[] {
    if (!this.#exists) return []
    return [...this.#pods]
      .filter(([, { phase }]) => phase === 'serving')
      .map(([n, { address }]) => `pod-${n} ${address}:8000`)
      .sort()
  }

  /** Names of the pods that are being deleted, sorted. */
  terminating(): string[] {
    if (!this.#exists) return []
    return [...this.#pods]
      .filter(([, { phase }]) => PHASES[phase].terminating)
      .map(([n]) => `pod-${n}`)
      .sort()
  }

  #newPod(slice: number): WorldPod {
    this.#made += 1
    return {
      address: `10.0.${this.#made >> 8}.${this.#made & 255}`,
      uid: `uid-${this.#made}`,
      phase: 'unready',
      slice,
    }
  }

  #write(): void {
    for (let slice = 0; slice < SLICES.length; slice++) this.#writeSlice(slice)
  }

  #writeSlice(slice: number): void {
    if (!this.#exists) return
    const pods = [...this.#pods].filter(([, pod]) => pod.slice === slice)
    for (const [n, { phase, address }] of pods) {
      if (phase === 'serving') this.everServed.add(`pod-${n} ${address}`)
    }
    const name = SLICES[slice] ?? ''
    const endpoints = pods.map(([n, { address, uid, phase }]) => ({
      name: `pod-${n}`,
      address,
      uid,
      ...PHASES[phase],
    }))
    this.#api.put(COLLECTIONS.slices, sliceOf(name, endpoints))
  }
}
