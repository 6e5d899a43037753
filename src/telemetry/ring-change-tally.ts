import { CHANGE_CAUSES, type ChangeCause } from '../manager/change-record.ts'
import type { RingChange } from '../manager/snapshot.ts'
import { byLabel, single, type Collector, type Samples } from './sample.ts'

/** Counts changes of the ring and the keys that they move, by cause. A change counts once for each cause in it. */
export class RingChangeTally implements Collector {
  readonly #changes = zeros()
  readonly #movedShares = zeros()
  #lastChangeAtMs: number | undefined

  add({ records }: Pick<RingChange, 'records'>): void {
    for (const { cause, movedShare, timeMs } of records) {
      this.#changes[cause]++
      this.#movedShares[cause] += movedShare
      this.#lastChangeAtMs = timeMs
    }
  }

  collect(): Samples {
    return {
      ringChanges: byLabel('cause', this.#changes),
      ringKeysMoved: byLabel('cause', this.#movedShares),
      ringLastChange: single(this.#lastChangeAtMs === undefined ? undefined : this.#lastChangeAtMs / 1000),
    }
  }
}

function zeros(): Record<ChangeCause, number> {
  return Object.fromEntries(Object.keys(CHANGE_CAUSES).map((cause) => [cause, 0])) as Record<
    ChangeCause,
    number
  >
}
