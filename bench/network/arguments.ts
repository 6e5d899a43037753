import { goMemberlist, goRingman, ours, program, type Contender } from '../../lab/network/contender.ts'
import type { MemberSettings } from '../../lab/peers/member-protocol.ts'

/** What the others are compared with. */
export const BASELINE = 'go'

const PRESETS = ['lan', 'wan', 'local'] as const

/**
 * The contenders that the command line asks for: `ours`, `go`, `go-ringman`, or `NAME=COMMAND LINE` for any program that
 * speaks the member protocol.
 */
export function parseContenders(words: readonly string[]): Contender[] {
  return words.map((word) => {
    if (word === 'ours') return ours()
    if (word === 'go') return goMemberlist()
    if (word === 'go-ringman') return goRingman()
    const equals = word.indexOf('=')
    if (equals > 0) return program(word.slice(0, equals), word.slice(equals + 1))
    throw new Error(`unknown contender "${word}": ours, go, go-ringman, or NAME=COMMAND LINE`)
  })
}

export function parsePreset(word: string): MemberSettings['preset'] {
  const preset = PRESETS.find((name) => name === word)
  if (preset === undefined) throw new Error(`unknown preset "${word}": ${PRESETS.join(', ')}`)
  return preset
}

/** A number from the command line, greater than 0. */
export function parsePositive(name: string, word: string): number {
  const value = Number(word)
  if (!(value > 0 && value < Infinity)) throw new Error(`--${name} takes a number above 0, not "${word}"`)
  return value
}
