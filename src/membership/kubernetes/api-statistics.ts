import type { ListWatchStatus } from '../../kubernetes/list-watch.ts'
import type { SourceStatistics } from '../statistics.ts'

/** What following the API came to, for metrics. */
export function apiStatistics(status: ListWatchStatus): SourceStatistics {
  const { sinceConfirmedMs, lists, watches, changes, bookmarks, failures } = status
  return {
    ...(sinceConfirmedMs === undefined ? {} : { staleMs: sinceConfirmedMs }),
    kubernetes: { lists, watches, changes, bookmarks, failures },
  }
}
