import { main } from '../../src/cli/main.ts'
import type { Terminal } from '../../src/cli/terminal.ts'

/** Keeps what a command prints. */
export class RecordingTerminal implements Terminal {
  readonly columns = 100
  /** Printed to standard output. */
  printed = ''
  /** Printed to standard error. */
  complained = ''
  readonly #onOut: () => void

  /** @param onOut - Is told of each piece of output. */
  constructor(onOut = () => {}) {
    this.#onOut = onOut
  }

  readonly out = (text: string): void => {
    this.printed += text
    this.#onOut()
  }

  readonly err = (text: string): void => {
    this.complained += text
  }

  readonly style = (_: string, text: string): string => text
}

/**
 * Runs the command line in this process and keeps what it prints.
 *
 * @param onOut - Is told of each piece of output.
 */
export async function runMain(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  onOut?: () => void,
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const terminal = new RecordingTerminal(onOut)
  const code = await main(args, env, terminal)
  return { code, out: terminal.printed, err: terminal.complained }
}
