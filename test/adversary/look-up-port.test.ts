import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { outcomeTable, runAttack } from './attack-suite.ts'
import { AttackedCluster } from './attacked-cluster.ts'
import { HTTP_ATTACKS } from './http-attacks.ts'

/** Lines of the log that an attack may cause in a member. */
const LINES_LIMIT = 20

let folder: string
let cluster: AttackedCluster

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ringman-adversary-'))
  const token = join(folder, 'token')
  await writeFile(token, 'a-token-of-operators')
  cluster = new AttackedCluster(['--token-file', token, '--route-key', 'cookie:a,cookie:b,cookie:c,cookie:d'])
  await cluster.start(3)
})

afterAll(async () => {
  console.log(outcomeTable())
  await cluster[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

/** Attacks that take all the room for connections: what does not get in is refused. */
const CROWDS = new Set([
  'answers-nobody-reads',
  'clients-that-do-not-wait',
  'idle-connections',
  'large-heads-whose-bodies-do-not-come',
  'pages-nobody-reads',
  'slow-heads',
  'watches-nobody-reads',
  'watches-with-large-heads',
])

test.for(Object.keys(HTTP_ATTACKS))('%s', async (attack) => {
  const { clients, logLines } = await runAttack(cluster, attack)
  const [target, ...others] = clients
  for (const { member, failed, firstFailure } of others) {
    expect(failed, `${member}: ${firstFailure}`).toBe(0)
  }
  expect(logLines).toBeLessThanOrEqual(LINES_LIMIT)
  if (!CROWDS.has(attack)) expect(target?.failed, target?.firstFailure).toBe(0)
})
