import { afterAll, beforeAll, expect, test } from 'vitest'
import { outcomeTable, runAttack } from './attack-suite.ts'
import { AttackedCluster } from './attacked-cluster.ts'
import { HTTP_ATTACKS } from './http-attacks.ts'

let cluster: AttackedCluster

beforeAll(async () => {
  cluster = new AttackedCluster([])
  await cluster.start(3)
})

afterAll(async () => {
  console.log(outcomeTable())
  await cluster[Symbol.asyncDispose]()
})

/** Attacks that take all the room for connections: what does not get in is refused. */
const CROWDS = new Set([
  'answers-nobody-reads',
  'idle-connections',
  'slow-heads',
  'watches-nobody-reads',
  'watches-with-large-heads',
])

test.for(Object.keys(HTTP_ATTACKS))('%s', async (attack) => {
  const { clients } = await runAttack(cluster, attack)
  const [target, ...others] = clients
  for (const { member, failed, firstFailure } of others) {
    expect(failed, `${member}: ${firstFailure}`).toBe(0)
  }
  if (!CROWDS.has(attack)) expect(target?.failed, target?.firstFailure).toBe(0)
})
