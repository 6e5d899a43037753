import { expect, test } from 'vitest'
import { watchDescriptors } from '../../src/http/descriptor-watch.ts'
import { silentLogger } from '../../src/logger.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

test('while descriptors are short every port of clients makes room, and afterwards each allows more', async () => {
  const clock = new VirtualClock()
  const ports = [100, 40].map((limit) => ({
    limit,
    allowFewer() {
      this.limit /= 2
    },
    allowMore() {
      this.limit += 1
    },
  }))
  const limits = () => ports.map(({ limit }) => limit)
  let left = false
  const end = watchDescriptors(clock, silentLogger, ports, () => Promise.resolve(left))
  await clock.advance(1000)
  expect(limits()).toEqual([50, 20])
  left = true
  await clock.advance(2000)
  expect(limits()).toEqual([52, 22])
  end()
  await clock.advance(5000)
  expect(limits()).toEqual([52, 22])
})
