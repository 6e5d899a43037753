import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

const COMMAND_DEADLINE_MS = 120_000

/** How a command ended that was let fail. */
export interface CommandEnd {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs a program to its end, with `home` as home folder: what the user has in his own must not change what a test sees.
 *
 * @throws when it does not start, or does not end within two minutes; not when it ends with a status.
 */
export async function runCommand(
  program: string,
  args: readonly string[],
  home: string,
  input = '',
): Promise<CommandEnd> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: home }
  const running = run(program, [...args], {
    env,
    timeout: COMMAND_DEADLINE_MS,
    maxBuffer: 64 * 1024 * 1024,
  })
  running.child.stdin?.end(input)
  try {
    const { stdout, stderr } = await running
    return { code: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: unknown; stdout?: string; stderr?: string }
    if (typeof code !== 'number') throw error
    return { code, stdout, stderr }
  }
}
