import { gossipRows } from './pod-gossip-rows.ts'
import { POD_PAGE_UID, renderPage, RING_PAGE_UID } from './page.ts'
import { podLookUpRow, podProcessRow, podRingRow, podStateRow } from './pod-rows.ts'

/** The page about one pod: what it is, what it sees, what it answers, and what it is made to wait for. */
export function renderPodPage() {
  return renderPage({
    title: 'ringman: one pod',
    uid: POD_PAGE_UID,
    description:
      'One pod of a ring: is it well, does it see what the others see, what does it answer, how does it gossip. Each panel says in its description how to read it.',
    other: { title: 'The whole ring', uid: RING_PAGE_UID },
    pods: 'one',
    rows: [podStateRow(), podRingRow(), podLookUpRow(), ...gossipRows(), podProcessRow()],
  })
}
