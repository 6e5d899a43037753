import { expect, test } from 'vitest'
import { atOnce } from '../src/at-once.ts'

test('works on so many at a time and gives the results in the order of the items', async () => {
  let running = 0
  let most = 0
  const results = await atOnce(3, [50, 40, 30, 20, 10, 0], async (item) => {
    most = Math.max(most, ++running)
    for (let turns = 0; turns < item; turns++) await Promise.resolve()
    running -= 1
    return -item
  })
  expect([most, results]).toEqual([3, [-50, -40, -30, -20, -10, -0]])
})

test('rejects with what one of them rejects with', async () => {
  await expect(atOnce(2, [1, 2, 3], (item) => Promise.reject(new Error(`no ${item}`)))).rejects.toThrow(
    'no 1',
  )
})

test('of nothing comes nothing', async () => {
  expect(await atOnce(2, [], () => Promise.resolve(1))).toEqual([])
})
