import { isUtf8 } from 'node:buffer'
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs'
import { open } from 'node:fs/promises'

/** Largest file of keys, labels or a token, in bytes; sensible ones are far smaller. */
const MAX_BYTES = 64 * 1024
/** Largest configuration file, in bytes: it may list thousands of members. */
export const MAX_CONFIG_BYTES = 4 * 1024 * 1024

/** Opened in the usual way, a pipe that nobody writes to would hold whoever opens it, for ever. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK

/**
 * Reads a file that was named, whatever became of it: at most so many bytes, and nothing but a plain file. `mtimeMs` is when it was last
 * changed.
 *
 * @throws {Error} why it cannot be read.
 */
export async function readSmallFile(path: string, maxBytes = MAX_BYTES) {
  await using file = await open(path, FLAGS).catch(inWords)
  const about = await file.stat()
  checkKind(about)
  const bytes = Buffer.alloc(maxBytes + 1)
  let size = 0
  for (let more = 1; more > 0; size += more)
    more = (await file.read(bytes, size, bytes.length - size)).bytesRead
  return { text: textOf(bytes, size, maxBytes), mtimeMs: about.mtimeMs }
}

/** The text of such a file, at once. */
export function readSmallFileSync(path: string, maxBytes = MAX_BYTES): string {
  let file: number | undefined
  try {
    file = openSync(path, FLAGS)
    checkKind(fstatSync(file))
    const bytes = Buffer.alloc(maxBytes + 1)
    let size = 0
    for (let more = 1; more > 0; size += more) more = readSync(file, bytes, size, bytes.length - size, null)
    return textOf(bytes, size, maxBytes)
  } catch (error) {
    return inWords(error)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'this process may not read it',
}

function inWords(error: unknown): never {
  const { code = '' } = error as NodeJS.ErrnoException
  throw Object.hasOwn(WORDS, code) ? new Error(WORDS[code], { cause: error }) : error
}

function checkKind(stats: Stats): void {
  if (!stats.isFile()) throw new Error('it is no plain file')
}

/** Counts what was read: a file may grow after its size was told, and those of `/proc` tell 0. */
function textOf(bytes: Buffer, size: number, maxBytes: number): string {
  if (size > maxBytes) throw new Error(`it is longer than the ${maxBytes} bytes that are allowed`)
  if (!isUtf8(bytes.subarray(0, size))) throw new Error('it is not UTF-8')
  // A byte order mark, which some editors write, is no part of the text.
  return bytes.toString('utf8', 0, size).replace(/^\ufeff/, '')
}
