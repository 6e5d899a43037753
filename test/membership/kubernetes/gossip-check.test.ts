import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Pod } from '../../../src/kubernetes/pod-watch.ts'
import {
  GossipCheck,
  type CheckedGossip,
  type KnownPods,
} from '../../../src/membership/kubernetes/gossip-check.ts'
import type { Member, MemberState } from '../../../src/membership/member.ts'
import { fakeMember } from '../../support/fake-source.ts'
import { RecordingLogger } from '../../support/recording-logger.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

/** Gossip that a test writes. */
class FakeGossip implements CheckedGossip {
  readonly selfName = 'self'
  readonly declared: string[] = []
  readonly unready: string[] = []
  members: readonly Member[] = []
  #listener: (members: readonly Member[]) => void = () => {}

  subscribe(listener: (members: readonly Member[]) => void): () => void {
    this.#listener = listener
    return () => {
      this.#listener = () => {}
    }
  }

  set(name: string, address: string, state: MemberState = 'alive'): void {
    const others = this.members.filter((other) => other.name !== name)
    this.members = [...others, fakeMember(name, address, { state })]
    this.#listener(this.members)
  }

  podUnready(name: string, address: string): void {
    this.unready.push(`${name} ${address}`)
  }

  declareDead(name: string, address: string): boolean {
    const member = this.members.find((other) => other.name === name)
    if (member === undefined || member.address !== address) return false
    this.declared.push(name)
    this.set(name, address, 'dead')
    return true
  }
}

/** Pods: what the watch has heard, and what the API server would say now. */
class FakePods implements KnownPods {
  readonly objects = new Map<string, Pod>()
  readonly truth = new Map<string, Pod>()
  finds = 0
  away = false
  #listener = () => {}

  subscribe(listener: () => void): () => void {
    this.#listener = listener
    return () => {
      this.#listener = () => {}
    }
  }

  set(name: string, uid: string, addresses: readonly string[], over: Partial<Pod> = {}): void {
    this.truth.set(name, { name, uid, addresses, phase: 'Running', terminating: false, ready: true, ...over })
    this.hear(name)
  }

  delete(name: string): void {
    this.truth.delete(name)
    this.hear(name)
  }

  /** Lets the watch hear what is true of a pod. */
  hear(name: string): void {
    const pod = this.truth.get(name)
    if (pod === undefined) this.objects.delete(name)
    else this.objects.set(name, pod)
    this.#listener()
  }

  /** Lets the watch hear that a pod no longer matches the selector. */
  loseSight(name: string): void {
    this.objects.delete(name)
    this.#listener()
  }

  async find(name: string): Promise<Pod | undefined> {
    this.finds += 1
    await Promise.resolve()
    if (this.away) throw new Error('the API server is away')
    return this.truth.get(name)
  }
}

let clock: VirtualClock
let gossip: FakeGossip
let pods: FakePods
let check: GossipCheck
let logger: RecordingLogger

beforeEach(() => {
  clock = new VirtualClock()
  gossip = new FakeGossip()
  pods = new FakePods()
  logger = new RecordingLogger()
  check = new GossipCheck({ gossip, pods, clock, random: () => 0.5, logger }, (error) => {
    throw error
  })
  check.start()
  onTestFinished(async () => {
    await check.stop()
    expect(clock.pendingTimers).toBe(0)
  })
})

const LONG_MS = 120_000

/** Gossip holds a member for living, and its pod is there. */
function seePod(state?: MemberState): void {
  pods.set('a', 'u1', ['10.0.0.1'])
  gossip.set('a', '10.0.0.1', state)
}

describe('a member whose pod is gone is declared dead', () => {
  test('within a second and a half, once', async () => {
    seePod()
    pods.delete('a')
    await clock.advance(400)
    expect(gossip.declared).toEqual([])
    await clock.advance(1000)
    expect(gossip.declared).toEqual(['a'])
    expect(check.declaredCount).toBe(1)
    expect(logger.of('member.declared-dead')).toHaveLength(1)
    await clock.advance(LONG_MS)
    expect(gossip.declared).toEqual(['a'])
  })

  test('also when a pod of its name has taken its place at another address', async () => {
    seePod()
    pods.delete('a')
    pods.set('a', 'u2', ['10.0.0.9'])
    await clock.advance(LONG_MS)
    expect(gossip.declared).toEqual(['a'])
  })

  test('also when its successor gets its address only later', async () => {
    seePod()
    pods.set('a', 'u2', [])
    await clock.advance(LONG_MS)
    expect(gossip.declared).toEqual([])
    pods.set('a', 'u2', ['10.0.0.9'])
    await clock.advance(LONG_MS)
    expect(gossip.declared).toEqual(['a'])
  })

  test('also a suspect', async () => {
    seePod('suspect')
    pods.delete('a')
    await clock.advance(LONG_MS)
    expect(gossip.declared).toEqual(['a'])
  })

  test('as soon as the API server can be asked again', async () => {
    seePod()
    pods.away = true
    pods.delete('a')
    await clock.advance(LONG_MS)
    expect(gossip.declared).toEqual([])
    expect(pods.finds).toBeLessThan(15)
    pods.away = false
    await clock.advance(30_000)
    expect(gossip.declared).toEqual(['a'])
  })
})

describe('nobody is declared dead', () => {
  test('who was never seen to be a pod', async () => {
    gossip.set('go-peer', '192.168.1.1')
    pods.set('other', 'u1', ['10.0.0.1'])
    pods.delete('other')
    await clock.advance(LONG_MS)
    expect(gossip.declared).toEqual([])
    expect(check.linkedCount).toBe(0)
  })

  test('who only has the name of a pod, at another address', async () => {
    pods.set('a', 'u1', ['10.0.0.1'])
    gossip.set('a', '172.16.0.1')
    pods.delete('a')
    await clock.advance(LONG_MS)
    expect(gossip.declared).toEqual([])
  })

  test('whose pod is being deleted and is still there', async () => {
    seePod()
    pods.set('a', 'u1', ['10.0.0.1'], { terminating: true })
    await clock.advance(LONG_MS)
    expect(gossip.declared).toEqual([])
  })

  test('whose pod was given other labels', async () => {
    seePod()
    pods.loseSight('a')
    await clock.advance(LONG_MS)
    expect(gossip.declared).toEqual([])
    expect(pods.finds).toBe(1)
  })

  test('who is a new pod of the name at the same address, of which the watch has not heard', async () => {
    seePod()
    pods.truth.set('a', { ...pods.truth.get('a')!, uid: 'u2' })
    pods.loseSight('a')
    await clock.advance(5000)
    pods.hear('a')
    await clock.advance(LONG_MS)
    expect(gossip.declared).toEqual([])
    expect(check.linkedCount).toBe(1)
  })

  test('who gossips before the API shows its address', async () => {
    seePod()
    pods.delete('a')
    pods.set('a', 'u2', [])
    gossip.set('a', '10.0.0.2')
    await clock.advance(LONG_MS)
    expect(gossip.declared).toEqual([])
    pods.set('a', 'u2', ['10.0.0.2'])
    await clock.advance(LONG_MS)
    expect(gossip.declared).toEqual([])
    expect(check.linkedCount).toBe(1)
  })

  test('who leaves by itself within the grace, and the API server is not asked', async () => {
    seePod()
    pods.delete('a')
    await clock.advance(100)
    gossip.set('a', '10.0.0.1', 'left')
    await clock.advance(LONG_MS)
    expect(gossip.declared).toEqual([])
    expect(pods.finds).toBe(0)
  })

  test('who denied it once: it lives, whatever Kubernetes says', async () => {
    seePod()
    pods.delete('a')
    await clock.advance(5000)
    expect(gossip.declared).toEqual(['a'])
    gossip.set('a', '10.0.0.1', 'alive')
    await clock.advance(LONG_MS)
    expect(gossip.declared).toEqual(['a'])
  })

  test('who is this process itself', async () => {
    pods.set('self', 'u1', ['10.0.0.1'])
    gossip.set('self', '10.0.0.1')
    pods.delete('self')
    await clock.advance(LONG_MS)
    expect(gossip.declared).toEqual([])
  })

  test('after the check was stopped', async () => {
    seePod()
    pods.delete('a')
    await clock.advance(100)
    await check.stop()
    await clock.advance(LONG_MS)
    expect(gossip.declared).toEqual([])
    expect(pods.finds).toBe(0)
  })
})

describe('a pod that is not ready is told of', () => {
  test('while its member is suspected, whichever of the two comes first', () => {
    pods.set('a', 'u1', ['10.0.0.1'])
    pods.set('b', 'u2', ['10.0.0.2'])
    gossip.set('a', '10.0.0.1')
    gossip.set('b', '10.0.0.2', 'suspect')
    pods.set('a', 'u1', ['10.0.0.1'], { ready: false })
    expect(gossip.unready).toEqual([])
    gossip.set('a', '10.0.0.1', 'suspect')
    expect(gossip.unready).toEqual(['a 10.0.0.1'])
    pods.set('b', 'u2', ['10.0.0.2'], { ready: false })
    expect(gossip.unready).toContain('b 10.0.0.2')
    expect(gossip.declared).toEqual([])
  })

  test('not when it is ready, another pod of the name, or elsewhere', () => {
    seePod('suspect')
    pods.set('a', 'u2', ['10.0.0.9'], { ready: false })
    pods.set('b', 'u3', ['10.0.0.3'], { ready: false })
    gossip.set('b', '10.0.0.4', 'suspect')
    expect(gossip.unready).toEqual([])
  })
})
