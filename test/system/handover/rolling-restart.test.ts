import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Fleet } from '../../../lab/fleet/fleet.ts'

test.each([
  ['plain-http', '/visits/'],
  ['mount-in-koa', '/carts/'],
])('a rolling restart of examples/%s.ts under load loses no request', async (name, path) => {
  await using fleet = new Fleet(name, { DRAIN_MS: '3000' })
  for (let n = 0; n < 3; n++) await fleet.start()
  const over = new AbortController()
  const failures: string[] = []
  let answered = 0
  const ask = async (worker: number) => {
    for (let n = worker; !over.signal.aborted; n++) {
      const { ringKey } = fleet.rotation[n % fleet.rotation.length]!
      try {
        const response = await fetch(`http://${ringKey}${path}${n % 500}`)
        const body = await response.text()
        if (response.status === 200) answered++
        else failures.push(`${response.status} ${body}`)
      } catch (error) {
        failures.push(String((error as Error).cause ?? error))
      }
      await sleep(5)
    }
  }
  const asking = Array.from({ length: 4 }, (_, worker) => ask(worker))
  for (const oldest of [...fleet.living]) {
    await fleet.start()
    await fleet.stop(oldest)
  }
  over.abort()
  await Promise.all(asking)
  expect(failures).toEqual([])
  expect(answered).toBeGreaterThan(100)
})
