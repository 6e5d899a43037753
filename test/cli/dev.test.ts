import { execFileSync } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { OwnerAnswer } from '../../src/client/answers.ts'
import { runMain } from '../support/recording-terminal.ts'
import { ringman, TestProcess } from '../support/child-process.ts'
import { eventually } from '../support/eventually.ts'

interface StartedMember {
  readonly name: string
  readonly pid: number
  readonly share: number
  readonly url: string
  readonly adminUrl: string
}

async function started(dev: TestProcess): Promise<StartedMember[]> {
  return (await dev.event('cluster.started'))['members'] as StartedMember[]
}

/** Whether a process is there and no zombie that only waits to be collected. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const untilGone = (pids: readonly number[]) =>
  eventually('the members are gone', () => !pids.some(isRunning), { everyMs: 20 })

describe('dev', () => {
  test('ends with the npm that started it', async () => {
    const npm = realpathSync(execFileSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).trim())
    await using start = new TestProcess([npm, 'start', '--', '--nodes', '2', '--json'])
    const members = await started(start)
    start.signal('SIGTERM')
    await start.ended
    await untilGone(members.map(({ pid }) => pid))
  })

  test('shows the members and what to try; Ctrl-C stops all', async () => {
    await using dev = ringman(['dev'])
    await dev.until('the closing words', () => dev.outLines.find((line) => line.startsWith('Ctrl-C')))
    const rows = dev.outLines.filter((line) => /^member-\d/.test(line))
    expect(rows).toHaveLength(3)
    for (const row of rows)
      expect(row).toMatch(/127\.0\.0\.1:800\d +\d\d\.\d% +http:\/\/127\.0\.0\.1:\d+ +http:/)
    const [command = ''] = dev.outLines.flatMap((line) => / ringman (?:-- )?(get .*)$/.exec(line)?.[1] ?? [])
    const [curl = ''] = dev.outLines.flatMap((line) => /^ +curl '(.*)'$/.exec(line)?.[1] ?? [])
    const asked = await runMain(command.split(' '))
    expect(asked.code).toBe(0)
    expect(asked.out.split(' ')[0]).toBe(((await (await fetch(curl)).json()) as OwnerAnswer).owner.ringKey)
    expect(dev.out).not.toContain('\u001B')

    dev.signal('SIGINT')
    expect(await dev.ended).toEqual({ code: 0, signal: null })
    await untilGone(rows.map((row) => Number(row.trim().split(/ +/).at(-1))))
    expect(dev.err).toBe('')
  })

  test('has members act for whoever has the token of --token-file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ringman-dev-'))
    const tokenFile = join(folder, 'token')
    await writeFile(tokenFile, 'a-token\n')
    await using dev = ringman(['dev', '--nodes', '2', '--json', '--token-file', tokenFile])
    const [first] = await started(dev)
    const acting = ['--token-file', tokenFile, '--url', first!.adminUrl, '--dry-run']
    const { code, out } = await runMain(['drain', ...acting])
    expect(code).toBe(0)
    expect(out).toMatch(/^This would be done: /)
    await rm(folder, { recursive: true })
  })

  test('shows how the death of a member is noticed', async () => {
    await using dev = ringman(['dev', '--nodes', '4', '--kill-one-after', '0', '--json'])
    const members = await started(dev)
    expect(members.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9)
    const killed = await dev.event('member.killed')
    expect(await dev.event('ring.changed')).toMatchObject({
      nodes: 3,
      holders: 3,
      added: [],
      removed: [killed['name']],
    })
    const noticed = dev.events.filter(({ event }) => event === 'member.noticed')
    expect(noticed.map(({ name }) => String(name)).sort()).toEqual(
      members.map(({ name }) => name).filter((name) => name !== killed['name']),
    )
    dev.signal('SIGTERM')
    expect(await dev.ended).toEqual({ code: 0, signal: null })
    await untilGone(members.map(({ pid }) => pid))
  })

  test('says when a member ends by itself and goes on; without members it ends', async () => {
    await using dev = ringman(['dev', '--nodes', '2', '--json'])
    const [first, second] = await started(dev)
    process.kill(second?.pid ?? 0, 'SIGTERM')
    await dev.event('member.ended', ({ name, code }) => name === second?.name && code === 0)
    await dev.event('ring.changed', ({ nodes }) => nodes === 1)
    process.kill(first?.pid ?? 0, 'SIGKILL')
    expect(await dev.ended).toEqual({ code: 1, signal: null })
  })

  test('leaves no process behind when it is killed itself', async () => {
    const dev = ringman(['dev', '--nodes', '2', '--json'])
    const members = await started(dev)
    dev.signal('SIGKILL')
    await dev.ended
    await untilGone(members.map(({ pid }) => pid))
  })

  test('a second signal ends everything at once', async () => {
    await using dev = ringman(['dev', '--nodes', '2', '--json'])
    const members = await started(dev)
    // Stopped members cannot end in order, so that the second signal has something to cut short.
    for (const { pid } of members) process.kill(pid, 'SIGSTOP')
    dev.signal('SIGINT')
    await dev.event('cluster.stopping')
    dev.signal('SIGTERM')
    expect(await dev.ended).toEqual({ code: 143, signal: null })
    await untilGone(members.map(({ pid }) => pid))
  })
})
