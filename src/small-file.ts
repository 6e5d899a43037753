import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'
import { open } from 'node:fs/promises'

/** Largest file that is read, in bytes; sensible ones are far smaller. */
const MAX_BYTES = 64 * 1024

/** Opened in the usual way, a pipe that nobody writes to would hold whoever opens it, for ever. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK

/**
 * Reads a file of keys, labels or a token, whatever became of it: at most 64 KiB, and nothing but a plain file.
 *
 * @throws {Error} why it cannot be read.
 */
export async function readSmallFile(path: string): Promise<string> {
  await using file = await open(path, FLAGS)
  check(await file.stat())
  return await file.readFile('utf8')
}

/** The same at once. */
export function readSmallFileSync(path: string): string {
  const file = openSync(path, FLAGS)
  try {
    check(fstatSync(file))
    return readFileSync(file, 'utf8')
  } finally {
    closeSync(file)
  }
}

function check(stats: Stats): void {
  if (!stats.isFile()) throw new Error('it is no plain file')
  if (stats.size > MAX_BYTES) throw new Error(`it is longer than the ${MAX_BYTES} bytes that are allowed`)
}
