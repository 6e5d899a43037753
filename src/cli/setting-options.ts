import { Option, type Command } from 'commander'
import type { GivenFlags } from '../config/load.ts'
import { fileKeyOf, flagOf, isSettableIn, type Setting, type SettingTable } from '../config/setting.ts'
import { boolean } from '../config/value-type.ts'

/**
 * Gives a command a flag for each setting of a table, under the table's categories.
 *
 * @param shown - The categories that the help shows. @default all
 */
export function addSettingOptions(command: Command, table: SettingTable, shown?: readonly string[]): Command {
  for (const [property, setting] of Object.entries(table)) {
    if (!isSettableIn(setting, 'flag')) continue
    const isSwitch = setting.type === boolean
    const valueText = isSwitch ? `[${setting.type.placeholder}]` : `<${setting.type.placeholder}>`
    const flags = `${setting.short === undefined ? '' : `${setting.short}, `}${flagOf(property)} ${valueText}`
    const option = new Option(flags, describe(setting)).helpGroup(`${setting.category}:`)
    if (shown?.includes(setting.category) === false) option.hideHelp()
    // A list may be given in several parts.
    if (setting.type.placeholder.endsWith('…')) {
      option.argParser((value: string, previous: string | undefined) =>
        previous === undefined ? value : `${previous},${value}`,
      )
    }
    command.addOption(option)
  }
  return command
}

/** What was given for a table's settings, as text, and whatever the command does not know. */
export function givenFlags(
  command: Command,
  table: SettingTable,
  unknown: readonly string[] = [],
): GivenFlags {
  const options: Record<string, string | true | undefined> = command.opts()
  const values = Object.keys(table).map((property) => {
    const given = options[fileKeyOf(property)]
    // A switch without a value.
    return [property, given === true ? 'true' : given] as const
  })
  return { values: Object.fromEntries(values), unknown }
}

/**
 * Of the arguments that a command without operands did not take, those to complain about: unknown flags, with their
 * values left out, and stray words.
 */
export function unknownArguments(args: readonly string[]): string[] {
  return args.filter((argument, at) => {
    const before = args[at - 1]
    const isValue = before !== undefined && before.startsWith('-') && !before.includes('=')
    return argument !== '--' && (argument.startsWith('-') || !isValue)
  })
}

function describe({ help, default: fallback, computedDefault }: Setting): string {
  const shown = computedDefault?.words ?? (fallback === undefined || fallback === '' ? undefined : fallback)
  return shown === undefined ? help : `${help} (default: ${shown})`
}
