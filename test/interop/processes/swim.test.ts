import { afterEach, beforeEach, expect, test } from 'vitest'
import { setTimeout as wait } from 'node:timers/promises'
import { isLive, seeEachOther, startSwimCluster, SwimProcess } from '../../support/swim-cluster.ts'

let cluster: SwimProcess[] = []

beforeEach(async () => {
  cluster = await startSwimCluster(5, 'lan')
})

afterEach(async () => {
  await Promise.all(cluster.map((member) => member.kill()))
})

test('five processes at default settings: a stall, a kill, a return, a leave', async () => {
  const [first, second, third, ...others] = cluster
  if (first === undefined || second === undefined || third === undefined) expect.fail('no cluster')

  // A stall of 500 ms, of each in turn, costs nobody its place.
  const wronged: string[] = []
  const unwatch = cluster.map((member) =>
    member.watch(() => {
      const lost = cluster.find(({ name }) => !isLive(member.states[name]))
      if (lost !== undefined) wronged.push(`${member.name} lost ${lost.name}`)
    }),
  )
  for (const member of [first, third]) {
    member.send({ kind: 'stall', ms: 500 })
    await wait(1200)
  }
  expect(wronged).toEqual([])
  for (const end of unwatch) end()

  // SIGKILL.
  const survivors = [first, third, ...others]
  const removed = survivors.map((member) => member.until((states) => !isLive(states[second.name])))
  await second.kill('SIGKILL')
  await Promise.all(removed)
  expect(survivors.map((member) => member.states[second.name])).toEqual(survivors.map(() => 'dead'))

  // Back on the same address, with the name it had.
  const back = await SwimProcess.start({
    name: second.name,
    port: second.port,
    seeds: [`127.0.0.1:${first.port}`],
    preset: 'lan',
  })
  cluster = [back, ...survivors]
  await seeEachOther(cluster)

  // A leave. How soon it and the death are known is tested by a virtual clock.
  const rest = [first, back, ...others]
  const left = rest.map((member) => member.until((states) => states[third.name] === 'left'))
  third.send({ kind: 'leave' })
  await Promise.all(left)

  // No deprecation of the library's, no stray line.
  for (const { name, stderr } of [...cluster, second]) expect(`${name}: ${stderr}`).toBe(`${name}: `)
})
