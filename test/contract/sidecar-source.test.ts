import { silentLogger } from '../../src/logger.ts'
import { SidecarSource } from '../../src/membership/sidecar/sidecar-source.ts'
import { FakeSidecar } from '../membership/sidecar/fake-sidecar.ts'
import { jsonBytes, tick, updateJson, type Described } from '../membership/sidecar/sidecar-fixtures.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { describeSourceContract, type SourceHarness } from './source-contract.ts'

/** The ways on which a change reaches the source; each must do on its own. */
const WAYS = {
  'told by posts, with a URL': { url: true, watch: false, refetchIntervalMs: 0, post: true },
  'told by posts, without a URL': { url: false, watch: false, refetchIntervalMs: 0, post: true },
  'watching the stream': { url: true, watch: true, refetchIntervalMs: 0, post: false },
  'fetching again': { url: true, watch: false, refetchIntervalMs: 2000, post: false },
} as const

function makeHarness(way: (typeof WAYS)[keyof typeof WAYS]): SourceHarness {
  const clock = new VirtualClock()
  const sidecar = new FakeSidecar([{ id: 'first', hostname: 'first' }])
  const sources: SidecarSource[] = []
  let changes = 1

  const change = (instances: readonly Described[], status: number, previousStatus: number): Promise<void> => {
    sidecar.set(tick(++changes), instances)
    if (way.post) {
      const body = jsonBytes(updateJson(sidecar.state, { status, previousStatus }))
      for (const source of sources) source.update(body)
    }
    return Promise.resolve()
  }
  const setStatus = (id: string, status: number) =>
    change(
      sidecar.instances.map((instance) => (instance.id === id ? { ...instance, status } : instance)),
      status,
      0,
    )

  return {
    create() {
      const { url, watch, refetchIntervalMs } = way
      const source = new SidecarSource(
        {
          serviceName: 'some-svc',
          servicePort: 9999,
          watch,
          refetchIntervalMs,
          ...(url ? { url: 'http://localhost:7777/api/state.json' } : {}),
        },
        { clock, logger: silentLogger, random: () => 0.5, get: sidecar.get },
      )
      sources.push(source)
      // Without a URL the first state is one that was posted, here before the start.
      if (!url) source.update(jsonBytes(updateJson(sidecar.state)))
      return source
    },
    nameOf: (added) => `${added}:8000`,
    addMember: (name) => change([...sidecar.instances, { id: name, hostname: name }], 0, 3),
    removeMember: (name) => setStatus(name, 4),
    killMember: (name) => setStatus(name, 1),
    advance: (ms) => clock.advance(ms),
    openResources: () => sidecar.openCount + clock.pendingTimers,
    async close() {
      await Promise.all(sources.map((source) => source.stop()))
    },
  }
}

for (const [title, way] of Object.entries(WAYS)) {
  describeSourceContract(`The Sidecar source, ${title},`, () => makeHarness(way), {
    self: false,
    add: true,
    remove: true,
    kill: true,
    seen: false,
  })
}
