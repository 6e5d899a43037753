import type { ExpectedAlert } from './promtool.ts'
import type { PodView, SampledKubernetes, SampledPod } from './sampled-pods.ts'

/** Pods and what must fire at the end; nothing else may fire at any time. */
export interface AlertCase {
  readonly name: string
  readonly minutes: number
  readonly pods: readonly SampledPod[]
  readonly kubernetes?: SampledKubernetes
  readonly fires: readonly ExpectedAlert[]
}

const NAMES = ['ringman-0', 'ringman-1', 'ringman-2', 'ringman-3', 'ringman-4'] as const
const WHOLE = 'aaaaaaaaaaaaaaaa'
const OTHER = 'bbbbbbbbbbbbbbbb'
const MINUTE = 60

/** What the pod of this index says at a moment, besides what healthy pods say. */
type Fault = (index: number, seconds: number) => Partial<PodView> | 'unreachable'

function pods(fault: Fault, names: readonly string[] = NAMES): SampledPod[] {
  return names.map((pod, index) => ({
    pod,
    instance: `10.0.0.${index}:8081`,
    scrapeOffset: index * 5,
    view: (seconds) => {
      const faulty = fault(index, seconds)
      if (faulty === 'unreachable') return faulty
      return {
        digest: WHOLE,
        nodes: names.length,
        lookUps: { ok: seconds * 20, unavailable: 0 },
        lookUpTimes: { fast: seconds * 20, slow: 0 },
        loopDelays: { prompt: seconds * 90, late: 0 },
        ...faulty,
      }
    },
  }))
}

function kubernetes(ready: (pod: string, seconds: number) => boolean = () => true): SampledKubernetes {
  return { pods: NAMES, ready }
}

/** One of the pods. */
const LAST = 4

/** How often something happened that happens every so many seconds. */
const every = (period: number, seconds: number) => Math.floor(seconds / period)

const RING_CASES: readonly AlertCase[] = [
  {
    name: 'one pod keeps another ring',
    minutes: 10,
    pods: pods((index, seconds) =>
      index === LAST && seconds > 5 * MINUTE ? { digest: OTHER, epoch: 2 } : {},
    ),
    fires: [{ alert: 'RingmanDigestsDiffer', value: '2' }],
  },
  {
    name: 'one pod has another ring for a minute and a half',
    minutes: 15,
    pods: pods((index, seconds) => {
      if (index !== LAST || seconds <= 300) return {}
      return seconds <= 390 ? { digest: OTHER, epoch: 2 } : { epoch: 3 }
    }),
    fires: [],
  },
  {
    name: 'three pods here, two pods there',
    minutes: 12,
    pods: pods((index, seconds) => {
      if (seconds <= 5 * MINUTE) return {}
      return index < 3 ? { nodes: 3, epoch: 3 } : { digest: OTHER, nodes: 2, epoch: 4 }
    }),
    fires: [
      { alert: 'RingmanIslands', value: '2' },
      { alert: 'RingmanDigestsDiffer', value: '2' },
    ],
  },
  {
    name: 'all members drained at once',
    minutes: 10,
    pods: pods((_, seconds) =>
      seconds > 300 ? { nodes: 0, ready: false, condition: 'draining', epoch: 2 } : {},
    ),
    fires: [{ alert: 'RingmanRingEmpty', value: '0' }],
  },
  {
    name: 'one pod without a ring among others, and all of them for half a minute',
    minutes: 10,
    pods: pods((index, seconds) =>
      seconds > 300 && seconds <= 330
        ? { nodes: 0, epoch: 2 }
        : {
            nodes: seconds > 330 && index === LAST ? 0 : 5,
            digest: index === LAST && seconds > 330 ? OTHER : WHOLE,
            epoch: 1 + every(100, seconds),
          },
    ),
    fires: [],
  },
  {
    name: 'one pod alone, of a ring that is scraped in part only',
    minutes: 10,
    pods: pods((index, seconds) =>
      index === LAST && seconds > 4 * MINUTE ? { digest: OTHER, nodes: 4, epoch: 2 } : {},
    ),
    fires: [{ alert: 'RingmanDigestsDiffer', value: '2' }],
  },
  {
    name: 'a member that is no ready pod, by kube-state-metrics',
    minutes: 14,
    pods: pods((_, seconds) => ({ nodes: 5, ready: true, epoch: every(3600, seconds) + 1 })),
    kubernetes: kubernetes((pod, seconds) => pod !== NAMES[LAST] || seconds < 120),
    fires: NAMES.map((pod) => ({ alert: 'RingmanMembersDifferFromReadyPods', labels: { pod }, value: '5' })),
  },
  {
    name: 'a member that is no ready pod, by the word of the pods',
    minutes: 14,
    pods: pods((index) => ({ ready: index !== LAST })),
    fires: NAMES.map((pod) => ({ alert: 'RingmanMembersDifferFromReadyPods', labels: { pod }, value: '5' })),
  },
  {
    name: 'a ready pod that nobody has on the ring, by kube-state-metrics',
    minutes: 14,
    pods: pods(() => ({ nodes: 4, ready: false })),
    kubernetes: kubernetes(),
    fires: NAMES.map((pod) => ({ alert: 'RingmanMembersDifferFromReadyPods', labels: { pod }, value: '4' })),
  },
  {
    name: 'a pod that is not ready for four minutes',
    minutes: 20,
    pods: pods((index, seconds) => ({ ready: index !== LAST || seconds < 300 || seconds > 540 })),
    kubernetes: kubernetes((pod, seconds) => pod !== NAMES[LAST] || seconds < 300 || seconds > 540),
    fires: [],
  },
  {
    name: 'a node that dies and comes back every four minutes',
    minutes: 40,
    pods: pods((_, seconds) => ({
      changes: { dead: every(240, seconds), joined: every(240, seconds) },
      epoch: 1 + 2 * every(240, seconds),
    })),
    fires: [{ alert: 'RingmanFlapping', value: '8' }],
  },
  {
    name: 'four nodes that die one after the other',
    minutes: 40,
    pods: pods((_, seconds) => ({ changes: { dead: Math.min(4, every(300, seconds)) } })),
    fires: [],
  },
  {
    name: 'an endpoint that goes and comes back every minute',
    minutes: 40,
    pods: pods((_, seconds) => ({
      source: 'kubernetes',
      changes: { removed: every(60, seconds), joined: every(60, seconds) },
      epoch: 1 + 2 * every(60, seconds),
    })),
    fires: [{ alert: 'RingmanFlapping', value: '30' }],
  },
  {
    name: 'two rolling updates of endpoints within half an hour',
    minutes: 40,
    pods: pods((_, seconds) => ({
      source: 'kubernetes',
      changes: { removed: Math.min(10, every(90, seconds)), joined: Math.min(10, every(90, seconds)) },
    })),
    fires: [],
  },
  {
    name: 'a pod that must deny its death every two minutes',
    minutes: 20,
    pods: pods((index, seconds) => (index === LAST ? { refutations: every(120, seconds) } : {})),
    fires: [{ alert: 'RingmanPodSuspectedWrongly', labels: { pod: NAMES[LAST] }, value: '7.241' }],
  },
  {
    name: 'a pod that denies its death three times',
    minutes: 20,
    pods: pods((index, seconds) => (index === LAST ? { refutations: Math.min(3, every(200, seconds)) } : {})),
    fires: [],
  },
  {
    name: 'a node with most of the keys',
    minutes: 20,
    pods: pods(() => ({ balance: 1.8 })),
    fires: [{ alert: 'RingmanShareOutOfBalance', value: '1.8' }],
  },
  { name: 'a ring as uneven as they come', minutes: 20, pods: pods(() => ({ balance: 1.4 })), fires: [] },
  {
    name: 'a node with most of the keys for ten minutes',
    minutes: 20,
    pods: pods((_, seconds) => ({ balance: seconds < 600 ? 1.8 : 1.2 })),
    fires: [],
  },
  {
    name: 'a manager that does not answer',
    minutes: 8,
    pods: pods((index, seconds) => ({ managerUp: index !== LAST || seconds < 60 })),
    fires: [{ alert: 'RingmanManagerStuck', labels: { pod: NAMES[LAST] }, value: '0' }],
  },
  {
    name: 'a manager that does not answer for four minutes',
    minutes: 12,
    pods: pods((index, seconds) => ({ managerUp: index !== LAST || seconds < 60 || seconds > 300 })),
    fires: [],
  },
  {
    name: 'a sender that goes by no ring: one request in ten comes to the wrong pod',
    minutes: 20,
    pods: pods((_, seconds) => ({ checks: { mine: seconds * 9, 'not-mine': seconds } })),
    fires: [{ alert: 'RingmanRequestsMisdirected', value: '10%' }],
  },
  {
    name: 'many senders behind, and a few requests misdirected',
    minutes: 20,
    pods: pods((_, seconds) => ({
      checks: { mine: seconds * 9, 'you-are-behind': seconds * 5, 'not-mine': every(10, seconds) },
    })),
    fires: [],
  },
  {
    name: 'two checks an hour, both misdirected',
    minutes: 30,
    pods: pods((index, seconds) => ({
      checks: { unknown: index === LAST ? every(1800, seconds + 1200) : 0 },
    })),
    fires: [],
  },
]

const HANDOVER_CASES: readonly AlertCase[] = [
  {
    name: 'a pod that starts takes its keys cold, as its time is up before its first scrape',
    minutes: 10,
    pods: pods((index, seconds) => ({
      nodes: seconds < 5 * MINUTE ? NAMES.length - 1 : NAMES.length,
      handover: { timedOut: index === LAST ? 1 : 0 },
    })).map((pod, index) => (index === LAST ? { ...pod, from: 5 * MINUTE } : pod)),
    fires: [{ alert: 'RingmanHandoverStuck', value: '1' }],
  },
  {
    name: 'a hand-over that does not end, as the others see it',
    minutes: 10,
    pods: pods((index, seconds) => ({
      handover: { oldestSeconds: index === LAST ? 0 : Math.max(0, seconds - 60) },
    })),
    fires: [{ alert: 'RingmanHandoverStuck', value: '540' }],
  },
  {
    name: 'a rolling update with hand-overs of twenty seconds each',
    minutes: 30,
    pods: pods((_, seconds) => ({
      handover: { oldestSeconds: seconds % 60 < 20 ? seconds % 60 : 0 },
    })),
    fires: [],
  },
]

const SOURCE_CASES: readonly AlertCase[] = [
  {
    name: 'a pod that has heard nothing for four minutes',
    minutes: 10,
    pods: pods((index, seconds) => ({
      source: 'sidecar',
      stalenessSeconds: index === LAST ? Math.max(0, seconds - 360) : 20,
    })),
    fires: [
      { alert: 'RingmanSourceStale', labels: { pod: NAMES[LAST], source: 'sidecar' }, value: '3m 50s' },
    ],
  },
  {
    name: 'a Sidecar that is asked every minute and a half',
    minutes: 10,
    pods: pods((_, seconds) => ({ source: 'sidecar', stalenessSeconds: seconds % 90 })),
    fires: [],
  },
  {
    name: 'a pod that says that it is cut off',
    minutes: 8,
    pods: pods((index) => ({ sourceOk: index !== LAST })),
    fires: [{ alert: 'RingmanSourceNotOk', labels: { pod: NAMES[LAST], source: 'memberlist' }, value: '0' }],
  },
  {
    name: 'a name that two processes answer under',
    minutes: 12,
    pods: pods((index, seconds) => {
      if (seconds <= 120 || index > 3) return {}
      return { condition: index === 3 ? 'unlisted' : 'contested' }
    }),
    fires: [{ alert: 'RingmanNameContested', value: '4' }],
  },
  {
    name: 'a pod that nobody reaches',
    minutes: 12,
    pods: pods((index, seconds) => (index === LAST && seconds > 120 ? { condition: 'unreachable' } : {})),
    fires: [{ alert: 'RingmanMemberUnreachable', value: '1' }],
  },
  {
    name: 'a pod that comes back at another address, and is taken after half a minute',
    minutes: 12,
    pods: pods((_, seconds) => (seconds > 120 && seconds < 160 ? { condition: 'contested' } : {})),
    fires: [],
  },
  {
    name: 'a pod that the others refuse',
    minutes: 12,
    pods: pods((index, seconds) => (index === LAST && seconds > 120 ? { condition: 'refused' } : {})),
    fires: [{ alert: 'RingmanMemberRefused', value: '1' }],
  },
  {
    name: 'a pod that says for three minutes that it is cut off',
    minutes: 12,
    pods: pods((index, seconds) => ({ sourceOk: index !== LAST || seconds > 200 })),
    fires: [],
  },
  {
    name: 'a release of one pod, which gossip finds alone',
    minutes: 20,
    pods: pods(() => ({ sourceOk: false, stalenessSeconds: undefined }), ['ringman-0']),
    fires: [],
  },
  {
    name: 'a release of one pod without its Sidecar',
    minutes: 8,
    pods: pods(() => ({ source: 'sidecar', sourceOk: false, stalenessSeconds: undefined }), ['ringman-0']),
    fires: [{ alert: 'RingmanSourceNotOk', labels: { pod: 'ringman-0', source: 'sidecar' }, value: '0' }],
  },
  {
    name: 'a stranger of another label that knocks every minute',
    minutes: 15,
    pods: pods((_, seconds) => ({ drops: { 'label-differs': every(60, seconds) } })),
    fires: [{ alert: 'RingmanGossipDropsByKeyOrLabel', labels: { reason: 'label-differs' }, value: '22.78' }],
  },
  {
    name: 'a member without the key',
    minutes: 15,
    pods: pods((index, seconds) => ({ drops: index < 2 ? { 'not-encrypted': every(30, seconds) } : {} })),
    fires: [{ alert: 'RingmanGossipDropsByKeyOrLabel', labels: { reason: 'not-encrypted' }, value: '20' }],
  },
  {
    name: 'five messages of another label, and many for an earlier owner of the address',
    minutes: 15,
    pods: pods((_, seconds) => ({
      drops: {
        'label-differs': seconds > 300 ? 1 : 0,
        'not-for-us': every(10, seconds),
        malformed: every(10, seconds),
      },
    })),
    fires: [],
  },
  {
    name: 'a pod whose timers are late',
    minutes: 16,
    pods: pods((index, seconds) =>
      index === LAST ? { loopDelays: { prompt: seconds * 80, late: seconds * 2 } } : {},
    ),
    fires: [{ alert: 'RingmanEventLoopSlow', labels: { pod: NAMES[LAST] }, value: '296ms' }],
  },
  {
    name: 'a pod with a late timer now and then',
    minutes: 16,
    pods: pods((_, seconds) => ({ loopDelays: { prompt: seconds * 90, late: every(10, seconds) } })),
    fires: [],
  },
]

const LOOK_UP_CASES: readonly AlertCase[] = [
  {
    name: 'one pod without a ring, which fails its look-ups',
    minutes: 12,
    pods: pods((index, seconds) =>
      index === LAST ? { lookUps: { ok: seconds * 15, unavailable: seconds * 5 } } : {},
    ),
    fires: [{ alert: 'RingmanLookUpErrors', value: '5%' }],
  },
  {
    name: 'one look-up in two hundred that fails',
    minutes: 12,
    pods: pods((_, seconds) => ({ lookUps: { ok: seconds * 199, unavailable: seconds } })),
    fires: [],
  },
  {
    name: 'nobody who asks',
    minutes: 20,
    pods: pods(() => ({ lookUps: { ok: 0, unavailable: 0 }, lookUpTimes: { fast: 0, slow: 0 } })),
    fires: [],
  },
  {
    name: 'one look-up in twenty that is slow',
    minutes: 16,
    pods: pods((_, seconds) => ({ lookUpTimes: { fast: seconds * 19, slow: seconds } })),
    fires: [{ alert: 'RingmanLookUpsSlow', value: '20.1ms' }],
  },
  {
    name: 'a pod that is full, and closes a connection every other second',
    minutes: 10,
    pods: pods((index, seconds) => (index === LAST ? { connectionsClosed: every(2, seconds) } : {})),
    fires: [{ alert: 'RingmanConnectionsExhausted', labels: { pod: NAMES[LAST] }, value: '150' }],
  },
  {
    name: 'a pod that was full for a moment, and closed 15 connections',
    minutes: 15,
    pods: pods((index, seconds) => (index === LAST && seconds > 300 ? { connectionsClosed: 15 } : {})),
    fires: [],
  },
  {
    name: 'one look-up in two hundred that is slow',
    minutes: 16,
    pods: pods((_, seconds) => ({ lookUpTimes: { fast: seconds * 199, slow: seconds } })),
    fires: [],
  },
]

const OF_HASH_RING = { ring_namespace: 'shop', ring: 'cache' }

const HASH_RING_CASES: readonly AlertCase[] = [
  {
    name: 'a HashRing that is well, whose status moves to another pod',
    minutes: 20,
    pods: pods((index, seconds) => ({
      hashRing: index === (seconds < 600 ? 0 : 1) ? { settled: true } : {},
    })),
    fires: [],
  },
  {
    name: 'a HashRing whose brake is on',
    minutes: 8,
    pods: pods((_, seconds) => ({ hashRing: seconds > 240 ? { braked: true, held: 6 } : {} })),
    fires: [{ alert: 'RingmanHashRingBraked', labels: OF_HASH_RING, value: '6' }],
  },
  {
    name: 'a brake that goes off within a minute, and pods that only restart',
    minutes: 15,
    pods: pods((_, seconds) => ({
      hashRing: { braked: seconds > 240 && seconds < 280, held: seconds > 240 ? 3 : 0 },
    })),
    fires: [],
  },
  {
    name: 'a pod that holds another ring of a HashRing',
    minutes: 9,
    pods: pods((index, seconds) => ({ hashRing: index === 2 ? { settled: seconds < 240 } : {} })),
    fires: [{ alert: 'RingmanHashRingNotSettled', labels: OF_HASH_RING, value: '0' }],
  },
  {
    name: 'a pod that holds another ring of a HashRing for a minute and a half',
    minutes: 15,
    pods: pods((index, seconds) => ({
      hashRing: index === 2 ? { settled: seconds < 240 || seconds > 330 } : {},
    })),
    fires: [],
  },
  {
    name: 'a HashRing of a Service that does not exist',
    minutes: 12,
    pods: pods(() => ({ hashRing: { accepted: false } })),
    fires: [{ alert: 'RingmanHashRingNotAccepted', labels: OF_HASH_RING, value: '0' }],
  },
  {
    name: 'a HashRing that is made four minutes before its Service, and one that goes',
    minutes: 20,
    pods: pods((_, seconds) => (seconds > 900 ? {} : { hashRing: { accepted: seconds > 240 } })),
    fires: [],
  },
]

const HEALTHY_CASES: readonly AlertCase[] = [
  { name: 'a healthy ring', minutes: 40, pods: pods(() => ({})), kubernetes: kubernetes(), fires: [] },
  { name: 'a healthy ring without kube-state-metrics', minutes: 40, pods: pods(() => ({})), fires: [] },
  {
    name: 'two releases with rings of their own in one namespace',
    minutes: 20,
    pods: [
      ...pods(() => ({})),
      ...pods(() => ({ digest: OTHER }), ['green-0', 'green-1']).map((pod) => ({ ...pod, release: 'green' })),
    ],
    fires: [],
  },
  {
    name: 'pods that are scraped by two monitors',
    minutes: 20,
    pods: [
      ...pods(() => ({})),
      ...pods(() => ({})).map((pod) => ({ ...pod, instance: `again-${pod.instance}` })),
    ],
    kubernetes: kubernetes(),
    fires: [],
  },
  {
    name: 'a pod that freezes, is declared dead and is replaced',
    minutes: 30,
    pods: pods((index, seconds) => {
      const frozen = seconds > 300 && seconds < 480
      if (index === LAST) {
        if (frozen) return 'unreachable'
        return seconds < 300 ? {} : { epoch: 2 }
      }
      if (seconds < 315) return {}
      const gone = { digest: OTHER, nodes: 4, epoch: 2, changes: { dead: 1 } }
      return seconds < 485 ? gone : { epoch: 3, changes: { dead: 1, joined: 1 } }
    }),
    kubernetes: kubernetes((pod, seconds) => pod !== NAMES[LAST] || seconds < 320 || seconds > 490),
    fires: [],
  },
]

/** Each alert in both directions. */
export const ALERT_CASES: readonly AlertCase[] = [
  ...HEALTHY_CASES,
  ...RING_CASES,
  ...HANDOVER_CASES,
  ...SOURCE_CASES,
  ...LOOK_UP_CASES,
  ...HASH_RING_CASES,
]
