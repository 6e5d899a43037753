import { main } from '../../src/cli/main.ts'
import type { Terminal } from '../../src/cli/terminal.ts'

/**
 * Runs the command line in this process and keeps what it prints.
 *
 * @param onOut - Is told of each piece of output.
 */
export async function runMain(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  onOut: () => void = () => {},
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  let out = ''
  let err = ''
  const terminal: Terminal = {
    out: (text) => {
      out += text
      onOut()
    },
    err: (text) => void (err += text),
    style: (_, text) => text,
    columns: 100,
  }
  const code = await main(args, env, terminal)
  return { code, out, err }
}
