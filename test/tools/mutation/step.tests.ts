import { expect, test } from 'vitest'
import { hold, step } from './step.ts'

test('steps lead to ten', () => {
  let at = 0
  let steps = 0
  for (; at < 10; at = step(at)) steps++
  expect(steps).toBe(10)
})

test('a minute is over at once', () => {
  hold(60_000)
})
