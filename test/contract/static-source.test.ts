import { StaticSource } from '../../src/membership/static/static-source.ts'
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
          [
            { host: '10.0.0.2', port: 8000 },
            { host: '10.0.0.1', port: 8000, weight: 3 },
            { host: '10.0.0.2', port: 8000 },
          ],
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
