import { lookUpRow } from './look-up-row.ts'
import { POD_PAGE_UID, renderPage, RING_PAGE_UID } from './page.ts'
import { gossipRow, podsRow } from './health-rows.ts'
import { changesRow, sharesRow, wholeRow } from './ring-rows.ts'

/** The page about one ring: from top to bottom, what somebody asks who was woken up. */
export function renderRingPage() {
  return renderPage({
    title: 'ringman',
    uid: RING_PAGE_UID,
    description:
      'One ring: is it whole and the same everywhere, who owns how much, what changed, how look-ups, gossip and pods do. Each panel says in its description how to read it.',
    other: { title: 'One pod', uid: POD_PAGE_UID },
    pods: 'many',
    rows: [wholeRow(), sharesRow(), changesRow(), lookUpRow(), gossipRow(), podsRow()],
  })
}
