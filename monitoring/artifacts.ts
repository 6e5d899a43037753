import { gossipRow, podsRow } from './dashboards/health-rows.ts'
import { lookUpRow } from './dashboards/look-up-row.ts'
import { allHashRingsRow, hashRingChangesRow, hashRingRow } from './dashboards/hash-ring-rows.ts'
import { ownershipRow } from './dashboards/ownership-row.ts'
import { HASH_RINGS_PAGE_UID, POD_PAGE_UID, renderPage, RING_PAGE_UID } from './dashboards/page.ts'
import { gossipRows } from './dashboards/pod-gossip-rows.ts'
import { podLookUpRow, podProcessRow, podRingRow, podStateRow } from './dashboards/pod-rows.ts'
import { changesRow, sharesRow, wholeRow } from './dashboards/ring-rows.ts'
import type { AlertGroup } from './rules/alert-rule.ts'
import { HASH_RING_ALERTS } from './rules/hash-ring-alerts.ts'
import { LOOK_UP_ALERTS } from './rules/look-up-alerts.ts'
import { renderRulesYaml } from './rules/render-rules.ts'
import { RING_ALERTS } from './rules/ring-alerts.ts'
import { SOURCE_ALERTS } from './rules/source-alerts.ts'

/** The folder in which the chart has what is rendered here. */
export const CHART_FILES = 'helm/ringman/files'

/** Everything that is rendered: the path in {@link CHART_FILES} and the text of each file. */
export function renderArtifacts(): ReadonlyMap<string, string> {
  const json = (value: unknown) => `${JSON.stringify(value, undefined, 2)}\n`
  return new Map([
    ['dashboards/ringman.json', json(renderRingPage())],
    ['dashboards/ringman-pod.json', json(renderPodPage())],
    ['dashboards/ringman-hash-rings.json', json(renderHashRingsPage())],
    ['rules.yaml', renderRulesYaml(ALERT_GROUPS)],
  ])
}

/** The page about one ring: from top to bottom, what somebody asks who was woken up. */
export function renderRingPage() {
  return renderPage({
    title: 'ringman',
    uid: RING_PAGE_UID,
    description:
      'One ring: is it whole and the same everywhere, who owns how much, what changed, how look-ups, gossip and pods do, whether requests find the owners. Each panel says in its description how to read it.',
    other: { title: 'One pod', uid: POD_PAGE_UID },
    pods: 'many',
    rows: [wholeRow(), sharesRow(), changesRow(), lookUpRow(), gossipRow(), podsRow(), ownershipRow()],
  })
}

/** The page about one pod: what it is, what it sees, what it answers, and what it is made to wait for. */
export function renderPodPage() {
  return renderPage({
    title: 'ringman: one pod',
    uid: POD_PAGE_UID,
    description:
      'One pod of a ring: is it well, does it see what the others see, what does it answer, how does it gossip. Each panel says in its description how to read it.',
    other: { title: 'The whole ring', uid: RING_PAGE_UID },
    pods: 'one',
    rows: [podStateRow(), podRingRow(), podLookUpRow(), ...gossipRows(), podProcessRow(), ownershipRow()],
  })
}

/** The page about the rings of HashRings. */
export function renderHashRingsPage() {
  return renderPage({
    title: 'ringman: rings of HashRings',
    uid: HASH_RINGS_PAGE_UID,
    description:
      'The rings that a release makes of HashRings: are they well, who is on them, what changed. Each panel says in its description how to read it.',
    other: { title: "The pods' own ring", uid: RING_PAGE_UID },
    pods: 'many',
    hashRings: true,
    rows: [allHashRingsRow(), hashRingRow(), hashRingChangesRow()],
  })
}

/** Every alert, in the groups and the order in which they are evaluated. */
export const ALERT_GROUPS: readonly AlertGroup[] = [
  RING_ALERTS,
  SOURCE_ALERTS,
  LOOK_UP_ALERTS,
  HASH_RING_ALERTS,
]
