import { expect, test } from 'vitest'
import { documentCommandLine } from '../../tools/docs/command-line.ts'

test('docs/cli.md is what the commands say; `vitest run test/cli -u` writes it', async () => {
  await expect(documentCommandLine()).toMatchFileSnapshot('../../docs/cli.md')
})
