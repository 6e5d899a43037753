import type { AlertGroup } from './alert-rule.ts'
import { LOOK_UP_ALERTS } from './look-up-alerts.ts'
import { RING_ALERTS } from './ring-alerts.ts'
import { SOURCE_ALERTS } from './source-alerts.ts'

/** Every alert, in the groups and the order in which they are evaluated. */
export const ALERT_GROUPS: readonly AlertGroup[] = [RING_ALERTS, SOURCE_ALERTS, LOOK_UP_ALERTS]
