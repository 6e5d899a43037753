import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { buildGoProgram } from '../../../lab/peers/go-program.ts'
import { MemberlistPeer } from '../../../lab/peers/memberlist-peer.ts'
import { SerfAgent } from '../support/serf-agent.ts'

// What the peers do as members is seen in the clusters of the tests beside this one.
beforeAll(async () => {
  await buildGoProgram('memberlist-peer')
})

describe('memberlist-peer', () => {
  test('a misspelt setting and an unknown command are refused', async () => {
    await expect(MemberlistPeer.start({ name: 'a', ...{ lable: 'x' } })).rejects.toThrow(/lable/)
    await using stack = new AsyncDisposableStack()
    const peer = stack.use(await MemberlistPeer.start({ name: 'a' }))
    await expect(peer.process.command('jion')).rejects.toThrow(/jion/)
  })

  test('ends when its input is closed, so that none outlives its test', async () => {
    const settings = { name: 'a', bindAddress: '127.0.0.1' }
    const child = spawn(await buildGoProgram('memberlist-peer'), [JSON.stringify(settings)])
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.includes('"ready"')) child.stdin.end()
    }
    expect(await ended).toBe(0)
  })
})

describe('without the programs', () => {
  afterEach(() => {
    vi.unstubAllEnvs()
  })

  test('a missing Go or serf is an error that says what to install', async () => {
    vi.stubEnv('PATH', import.meta.dirname)
    await expect(MemberlistPeer.start({ name: 'a' })).rejects.toThrow(/install.*Go|Go.*install/i)
    await expect(SerfAgent.start({ name: 'a' })).rejects.toThrow(/apt-get install serf/)
  })
})
