/** `ringman/ring`: the ring alone. It needs no network, no timers and no other package. */

export { HashRing, type SharedRing } from './hash-ring.ts'
export { MovedStretches, type Stretch } from './moved.ts'
export type { RingNode } from './node.ts'
export { plan, type RingMove, type RingPlan, type RingPlanChange } from './plan.ts'
export { ERROR_CODES, isRingmanError, RingmanError, type ErrorCode, type ErrorDetail } from '../errors.ts'
