import { messageOf } from '../errors.ts'
import { parseToken } from '../http/acting-guard.ts'
import { parseKeyring } from '../membership/memberlist/keyring.ts'
import { parseLabels } from '../membership/memberlist/labels.ts'
import { readSmallFileSync } from '../small-file.ts'
import { quoteGiven, type ConfigProblem } from './problem.ts'
import type { Resolved } from './resolve.ts'
import { fileKeyOf, type SettingTable } from './setting.ts'

/** Reads the file that a setting names; throws an error that says what is wrong with it. */
const READERS: Readonly<Record<string, (path: string) => void>> = {
  keyringFile: (path) => parseKeyring(readSmallFileSync(path)),
  labelFile: (path) => parseLabels(readSmallFileSync(path)),
  tokenFile: (path) => parseToken(readSmallFileSync(path)),
}

/**
 * What is wrong with the files that the settings of a member name, so that it is told with all else that is. The member reads them
 * by itself when it starts.
 *
 * @param resolved - Values that are wrong may be missing.
 */
export function checkFiles(
  table: SettingTable,
  { values, origins }: Resolved<SettingTable>,
): ConfigProblem[] {
  return Object.entries(table).flatMap(([property, { sources }]): ConfigProblem[] => {
    const [path, read] = [values[property], READERS[property]]
    // What is not for the source is refused as such.
    const isUsed = sources?.some((source) => source === values['source']) !== false
    if (read === undefined || typeof path !== 'string' || !isUsed) return []
    try {
      read(path)
      return []
    } catch (error) {
      const origin = origins[property] ?? { kind: 'default' }
      return [{ key: fileKeyOf(property), origin, given: quoteGiven(path), message: messageOf(error) }]
    }
  })
}
