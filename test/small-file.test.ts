import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readSmallFile, readSmallFileSync } from '../src/small-file.ts'

/** Longer than it says: its stated size is 0. */
const ENDLESS = '/proc/kallsyms'

test.skipIf(!existsSync(ENDLESS))(
  'a file is bounded by what is read of it, not by the size it states',
  async () => {
    await expect(readSmallFile(ENDLESS)).rejects.toThrow(/longer than the 65536 bytes/)
    expect(() => readSmallFileSync(ENDLESS)).toThrow(/longer than the 65536 bytes/)
  },
)

test('bytes that are no UTF-8 are refused: two files that differ only in them would be the same', async () => {
  const path = write(Buffer.from('["caf\xe9"]', 'latin1'))
  await expect(readSmallFile(path)).rejects.toThrow('it is not UTF-8')
  expect(() => readSmallFileSync(path)).toThrow('it is not UTF-8')
})

test('a byte order mark is no part of the text', async () => {
  const path = write('\ufeff["prod"]')
  expect(await readSmallFile(path)).toMatchObject({ text: '["prod"]' })
  expect(readSmallFileSync(path)).toBe('["prod"]')
})

/** A file with this content. */
function write(content: string | Buffer): string {
  const folder = mkdtempSync(join(tmpdir(), 'small-file-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'labels')
  writeFileSync(path, content)
  return path
}
