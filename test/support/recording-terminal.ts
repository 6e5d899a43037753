import { main } from '../../src/cli/main.ts'
import type { Terminal } from '../../src/cli/terminal.ts'

/** Runs the command line in this process and keeps what it prints. */
export async function runMain(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  let out = ''
  let err = ''
  const terminal: Terminal = {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    style: (_, text) => text,
    columns: 100,
  }
  const code = await main(args, env, terminal)
  return { code, out, err }
}
