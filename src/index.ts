/** The library's public face. What is not exported here may change without notice. */

export { createRing } from './compose/create-ring.ts'
export type {
  CommonRingOptions,
  CreateRingOptions,
  Forwarding,
  ForwardOptions,
  GossipRingOptions,
  KubernetesRingOptions,
  MemberlistRingOptions,
  Ring,
  RingHandover,
  RingMetricsFormat,
  SidecarRingOptions,
  StaticRingOptions,
  SwimRingOptions,
} from './compose/ring.ts'

export { HashRing } from './ring/hash-ring.ts'
export { MovedStretches, type Stretch } from './ring/moved.ts'
export type { RingNode } from './ring/node.ts'
export { plan, type RingMove, type RingPlan, type RingPlanChange } from './ring/plan.ts'

export {
  COMMAND_CHANNEL_LENGTH,
  DEFAULT_FOLD_WINDOW_MS,
  HashRingManager,
  PING_TIMEOUT_MS,
  type HashRingManagerOptions,
} from './manager/hash-ring-manager.ts'
export type { ChangeCause, ChangeRecord, RingDifference } from './manager/change-record.ts'
export { orderRings, type RingOrder } from './manager/ring-order.ts'
export type { RingChange, RingSnapshot } from './manager/snapshot.ts'

export type { Claim } from './service/claims.ts'
export type { CheckVerdict, ClaimLoss, MovedEvent, OwnershipCheck } from './service/ownership.ts'

export type {
  HandoverPhase,
  HandoverState,
  Member,
  MemberMetadata,
  MemberState,
  ProtocolVersions,
} from './membership/member.ts'
export type { RingKeyMode } from './membership/placement.ts'
export type { Condition, SourceHealth } from './membership/condition.ts'
export type { MembershipSource, SourceKind } from './membership/source.ts'
export type { SourceStatistics } from './membership/statistics.ts'
export type { ExpositionFormat, MetricsText } from './http/metrics-answer.ts'

export { RingmanClient, type PlannedChange, type RingmanClientOptions } from './client/ringman-client.ts'
export type {
  MembersAnswer,
  NodeView,
  OwnerAnswer,
  OwnersAnswer,
  PlanAnswer,
  RingAnswer,
} from './client/answers.ts'
export { RingClient, type RingClientChange, type RingClientOptions } from './client/ring-client.ts'
export type { MemberOptions } from './client/members.ts'
export type { ClientTls, Fetch } from './client/transport.ts'

export { generateKey, parseKeyring, type Keyring } from './membership/memberlist/keyring.ts'
export { MemberlistNode, type MemberlistNodeEvents } from './membership/memberlist/memberlist-node.ts'
export type { MemberlistDelegate } from './membership/memberlist/delegate.ts'
export type { MemberlistNodeOptions } from './membership/memberlist/node-options.ts'

export { ERROR_CODES, isRingmanError, RingmanError, type ErrorCode, type ErrorDetail } from './errors.ts'
export { silentLogger, type LogFields, type Logger } from './logger.ts'
export { holdingClock, systemClock, systemRandom, type Clock, type Random } from './clock.ts'
