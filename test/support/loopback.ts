import { systemRandom } from '../../src/clock.ts'
import { silentLogger } from '../../src/logger.ts'

/** What the gossip sources of tests have in common: a free port of loopback, short intervals, no log. */
export const LOOPBACK = {
  bindHost: '127.0.0.1',
  gossipPort: 0,
  preset: 'local',
  metadata: { servicePort: '8000' },
  random: systemRandom,
  logger: silentLogger,
} as const
