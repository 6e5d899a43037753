import { CommanderError } from 'commander'
import type { Environment } from '../config/environment.ts'
import { isRingmanError } from '../errors.ts'
import { printable } from '../printable.ts'
import { readVersion } from '../telemetry/version.ts'
import { exitCodeOf, type ExitCode } from './exit-code.ts'
import { createProgram } from './program.ts'
import type { Terminal } from './terminal.ts'

/**
 * Runs the command line.
 *
 * @param args - Without the program itself.
 * @returns The exit code; what went wrong is on standard error then, a stack trace only for a fault of ringman.
 */
export async function main(args: readonly string[], env: Environment, terminal: Terminal): Promise<ExitCode> {
  let code: ExitCode = 0
  const program = createProgram({
    terminal,
    env,
    version: readVersion(),
    finish: (finished) => void (code = finished),
  })
  const [command, asked = 'help'] = args
  // Of a command that is not there, commander would print the help of all.
  const isUnknown = command === 'help' && !program.commands.some((one) => one.name() === asked)
  try {
    await program.parseAsync(isUnknown ? [asked] : args, { from: 'user' })
    return code
  } catch (error) {
    // Commander has said what is wrong by itself; it also "throws" after help and version.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    terminal.err(`ringman: ${describe(error)}\n`)
    return exitCodeOf(error)
  }
}

function describe(error: unknown): string {
  const lines = (text: string) => text.split('\n').map(printable).join('\n')
  if (isRingmanError(error) && error.code !== 'INTERNAL') {
    // Only a configuration with several problems has several lines; any other line end is of somebody else's making.
    return error.detail['keys'] === undefined ? printable(error.message) : lines(error.message)
  }
  // Of a member's fault, the stack of this process says nothing.
  if (isRingmanError(error) && typeof error.detail['url'] === 'string')
    return printable(`${error.detail['url']}: ${error.message}`)
  return lines(error instanceof Error ? (error.stack ?? error.message) : String(error))
}
