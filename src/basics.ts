import type { Clock, Random } from './clock.ts'
import type { Logger } from './logger.ts'

/** What a part that runs by itself has from outside: time, chance, and whom it tells of what happens. */
export interface Basics {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}
