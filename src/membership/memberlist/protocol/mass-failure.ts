import type { Core } from './core.ts'

/** So many suspects at once are a mass failure. */
const SUSPECTS = 3

/** Whether several are silent at once: more may have gone with them. */
export function isMassFailure({ members, settings }: Core): boolean {
  return settings.witnesses !== 'off' && members.suspectCount >= SUSPECTS
}
