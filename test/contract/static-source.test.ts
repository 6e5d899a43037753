import { parseStaticMember, StaticSource } from '../../src/membership/static/static-source.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { describeSourceContract } from './source-contract.ts'

describeSourceContract(
  'StaticSource',
  () => {
    const clock = new VirtualClock()
    const sources: StaticSource[] = []
    return {
      create() {
        const source = new StaticSource(
          ['10.0.0.2:8000', '10.0.0.1:8000=3', '10.0.0.2:8000'].map(parseStaticMember),
          clock,
        )
        sources.push(source)
        return source
      },
      advance: (ms) => clock.advance(ms),
      openResources: () => clock.pendingTimers,
      async close() {
        for (const source of sources) await source.stop()
      },
    }
  },
  { self: false, add: false, remove: false, kill: false, seen: false },
)
