/** `ringman/client`: a client with a ring of its own. It loads no more than that needs. */

export { RingClient, type RingClientChange, type RingClientOptions } from './ring-client.ts'
export type { MemberOptions } from './members.ts'
export type { ClientTls, Fetch } from './transport.ts'
export { HashRing } from '../ring/hash-ring.ts'
export { MovedStretches, type Stretch } from '../ring/moved.ts'
export type { RingNode } from '../ring/node.ts'
export type { RingMove, RingPlan, RingPlanChange } from '../ring/plan.ts'
export { ERROR_CODES, isRingmanError, RingmanError, type ErrorCode, type ErrorDetail } from '../errors.ts'
export type { Clock, Random } from '../clock.ts'
