import { expect, test } from 'vitest'
import { counted } from '../src/counted.ts'

test('one of something is not several', () => {
  const words = [0, 1, 2].map((count) => counted(count, 'node'))
  expect(words).toEqual(['0 nodes', '1 node', '2 nodes'])
})
