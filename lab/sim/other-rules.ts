import type { ProtocolSettings } from '../../src/membership/memberlist/protocol/settings.ts'

/** The same settings without Lifeguard and without what goes beyond memberlist's probing: SWIM as published, for comparison. */
export function plainSwim(settings: ProtocolSettings): ProtocolSettings {
  return {
    ...settings,
    suspicionMaxTimeoutMult: 1,
    awarenessMaxMultiplier: 1,
    repeatPings: false,
    tellSuspects: false,
    checkSuspects: false,
    refusedSuspicionMult: 0,
    witnesses: 'off',
    stallThresholdMs: 0,
  }
}

/** The same settings with Lifeguard as memberlist has it, and nothing beyond: for comparison. */
export function memberlistLike(settings: ProtocolSettings): ProtocolSettings {
  return {
    ...settings,
    repeatPings: false,
    checkSuspects: false,
    refusedSuspicionMult: 0,
    witnesses: 'off',
    stallThresholdMs: 0,
  }
}
