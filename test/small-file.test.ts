import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
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
