import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FILE_POLL_MS, type FollowedFile } from '../../../src/membership/memberlist/followed-file.ts'
import { followKeyring } from '../../../src/membership/memberlist/gossip-files.ts'
import {
  generateKey,
  keyId,
  MAX_KEYS,
  parseKeyring,
  type Keyring,
} from '../../../src/membership/memberlist/keyring.ts'
import { RecordingLogger } from '../../support/recording-logger.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const key = (byte: number, length = 32) => Buffer.alloc(length, byte).toString('base64')
const bytesOf = (keyring: Keyring) => keyring.map((bytes) => [bytes.length, bytes[0]])

describe('parseKeyring', () => {
  test.each([
    ['one to a line', `${key(1)}\n${key(2, 16)}\n`],
    ['with comments, blank lines and CRLF', `# newest first\r\n\r\n  ${key(1)} # main\r\n${key(2, 16)}`],
    ['as a JSON array', JSON.stringify([key(1), key(2, 16)])],
    ['with a key repeated', [key(1), key(2, 16), key(1)].join('\n')],
  ])('takes keys %s, in their order', (_, text) => {
    expect(bytesOf(parseKeyring(text))).toEqual([
      [32, 1],
      [16, 2],
    ])
  })

  test.each([
    ['nothing', ''],
    ['only comments', '# no key yet\n'],
    ['an empty array', '[]'],
    ['text', 'secret'],
    ['base64 of a wrong length', key(1, 20)],
    ['base64url', key(0xff).replaceAll('/', '_')],
    ['JSON that is broken', `["${key(1)}"`],
    ['an array of numbers', '[1]'],
    ['too many keys', Array.from({ length: MAX_KEYS + 1 }, (_, i) => key(i)).join('\n')],
  ])('refuses %s without repeating it', (_, text) => {
    let thrown: unknown
    try {
      parseKeyring(text)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toMatchObject({ code: 'CONFIG_INVALID' })
    if (text.trim() !== '' && !/^[#[]/.test(text)) expect(String(thrown)).not.toContain(text)
  })
})

describe('generateKey', () => {
  test.each([16, 24, 32])('makes keys of %i bytes that parse, each another one', (sizeBytes) => {
    const keys = [generateKey(sizeBytes), generateKey(sizeBytes)]
    expect(parseKeyring(keys.join('\n')).map(({ length }) => length)).toEqual([sizeBytes, sizeBytes])
  })

  test('refuses other sizes', () => {
    expect(() => generateKey(20)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })

  test('a key has an id that does not give it away', () => {
    const [a, b] = parseKeyring(`${key(1)}\n${key(2)}`)
    expect(keyId(a as Uint8Array)).toMatch(/^[0-9a-f]{8}$/)
    expect(keyId(a as Uint8Array)).not.toBe(keyId(b as Uint8Array))
  })
})

const pipeAt = (path: string) => execFileSync('mkfifo', [path])

describe('a keyring file', () => {
  let folder: string
  let path: string
  let clock: VirtualClock
  let logger: RecordingLogger
  let keyrings: Keyring[]
  let file: FollowedFile<Keyring>

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ringman-keyring-'))
    path = join(folder, 'keyring')
    clock = new VirtualClock()
    logger = new RecordingLogger()
    keyrings = []
    file = followKeyring({ path, clock, logger, onChange: (keyring) => keyrings.push(keyring) })
  })

  afterEach(async () => {
    file.stop()
    await rm(folder, { recursive: true, force: true })
  })

  /** Lets the file be looked at once. The timer for the next look tells that the look is over. */
  async function look(): Promise<void> {
    await clock.advance(FILE_POLL_MS)
    while (clock.pendingTimers === 0) await turn()
  }

  test('reads the keys at the start and follows the file', async () => {
    await writeFile(path, key(1))
    expect(bytesOf(await file.start())).toEqual([[32, 1]])
    await look()
    expect(keyrings).toEqual([])
    await writeFile(path, `${key(2)}\n${key(1)}`)
    await look()
    expect(keyrings.map(bytesOf)).toEqual([
      [
        [32, 2],
        [32, 1],
      ],
    ])
    expect(JSON.stringify(logger.lines)).not.toContain(key(2))
  })

  test('keeps the keys in use while the file is unusable, says so once, and recovers', async () => {
    await writeFile(path, key(1))
    await file.start()
    await writeFile(path, 'half a k')
    await look()
    await look()
    await rm(path)
    await look()
    expect(keyrings).toEqual([])
    expect(logger.lines.filter(({ level }) => level === 'warn')).toHaveLength(2)
    await writeFile(path, key(3))
    await look()
    expect(keyrings.map(bytesOf)).toEqual([[[32, 3]]])
  })

  test('keeps the keys in use while something else is there in its place, and recovers', async () => {
    const others: [why: string, place: () => unknown][] = [
      ['it is no plain file', () => pipeAt(path)],
      ['it is no plain file', () => symlink('/dev/zero', path)],
      ['it is no plain file', () => mkdir(path)],
      [
        'it is longer than the 65536 bytes that are allowed',
        () => writeFile(path, `${key(2)}\n`.repeat(2000)),
      ],
    ]
    await writeFile(path, key(1))
    await file.start()
    for (const [why, place] of others) {
      await rm(path, { recursive: true })
      await place()
      await look()
      expect(file.failure).toBe(why)
    }
    expect(keyrings).toEqual([])
    await rm(path, { recursive: true })
    await writeFile(path, key(3))
    await look()
    expect(keyrings.map(bytesOf)).toEqual([[[32, 3]]])
  })

  test.each([
    ['is not there', undefined],
    ['holds no key', ''],
    ['is huge', 'x'.repeat(100_000)],
  ])('refuses to start when the file %s', async (_, text) => {
    if (text !== undefined) await writeFile(path, text)
    await expect(file.start()).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    expect(clock.pendingTimers).toBe(0)
  })

  test('stops following', async () => {
    await writeFile(path, key(1))
    await file.start()
    file.stop()
    expect(clock.pendingTimers).toBe(0)
  })
})
