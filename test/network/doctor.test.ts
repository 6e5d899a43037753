import { afterAll, beforeAll, expect, test } from 'vitest'
import { NetworkLab, type LabHost } from '../../lab/network/network-lab.ts'
import { CLEAR, type ClosedPort } from '../../lab/network/traffic-rules.ts'
import type { Finding } from '../../src/cli/doctor-finding.ts'
import { ringman, type TestProcess } from '../support/child-process.ts'

const MEMBERS = 3
/** Each look starts a process. */
const PATIENCE = { timeout: 60_000, interval: 1000 }
let lab: NetworkLab
const members: TestProcess[] = []

/** Runs ringman on a host of the lab. */
function ringmanOn(host: LabHost, args: readonly string[]): TestProcess {
  return ringman(args, { prefix: lab.commandPrefix(host) })
}

async function doctor(): Promise<Finding[]> {
  const host = lab.hosts[MEMBERS]!
  await using run = ringmanOn(host, ['doctor', '--json', '--url', lab.hosts[0]!.address])
  await run.ended
  return (JSON.parse(run.out) as { findings: Finding[] }).findings
}

beforeAll(async () => {
  lab = await NetworkLab.open(MEMBERS + 1)
  for (const [at, host] of lab.hosts.slice(0, MEMBERS).entries()) {
    const member = ringmanOn(host, [
      'serve',
      '--name',
      `m${at}`,
      '--bind',
      host.address,
      '--min-members',
      String(at + 1),
      '--seeds',
      lab.hosts[0]!.address,
      '--drain',
      '0',
    ])
    members.push(member)
    await member.event('ready')
  }
})
afterAll(async () => {
  await Promise.all(members.map((member) => member[Symbol.asyncDispose]()))
  await lab.close()
})

const closed = (protocol: ClosedPort['protocol'], from: number, to: number): ClosedPort => ({
  protocol,
  from: lab.hosts[from]!.address,
  to: lab.hosts[to]!.address,
  port: 7946,
})

test('doctor finds nothing wrong, then UDP that is blocked, and TCP that is blocked in one direction', async () => {
  await expect.poll(doctor, PATIENCE).toEqual([])

  await lab.setTraffic({ ...CLEAR, closed: [closed('udp', 0, 2), closed('udp', 2, 0)] })
  const first = async () => (await doctor())[0]
  await expect.poll(first, PATIENCE).toMatchObject({ code: 'UDP_BLOCKED', members: ['m0', 'm2'] })

  await lab.setTraffic({ ...CLEAR, closed: [closed('tcp', 1, 2)] })
  const tcp = async () => (await doctor()).find(({ code }) => code === 'TCP_BLOCKED')
  await expect.poll(tcp, PATIENCE).toMatchObject({
    members: ['m1', 'm2'],
    summary: 'From "m1" to "m2": UDP arrives there and TCP does not, in this direction only.',
  })

  await lab.setTraffic(CLEAR)
  await expect.poll(doctor, PATIENCE).toEqual([])
})
