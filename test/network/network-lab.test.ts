import { execFile, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { NetworkLab, type LabHost } from '../../lab/network/network-lab.ts'
import { CLEAR } from '../../lab/network/traffic-rules.ts'

const run = promisify(execFile)

const ECHO = `
const socket = require('node:dgram').createSocket('udp4')
socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address))
socket.bind(7000, () => console.log('bound'))
process.stdin.resume().on('end', () => process.exit())`

/** Of more than the system keeps for a host that stands still, each hundred waits until the one before has been sent back. */
const COUNT_ECHOES = `
const [address, count] = process.argv.slice(1)
const socket = require('node:dgram').createSocket('udp4')
const send = (text) => socket.send(text, 7000, address)
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
let echoes = 0
let lastMark = ''
const end = () => { console.log(echoes); process.exit() }
socket.on('message', (bytes) => {
  if (bytes.length > 1) lastMark = String(bytes)
  else if (++echoes === Number(count)) end()
})
socket.bind(0, async () => {
  for (let i = 0; i < Number(count); i++) {
    send('x')
    for (const mark = 'mark ' + i; i % 100 === 99 && Number(count) > 100 && lastMark !== mark; await wait(20)) send(mark)
  }
  setTimeout(end, 3000)
})`

/** A host that sends back every datagram. */
async function startEcho(lab: NetworkLab, host: LabHost) {
  const [command, ...args] = lab.commandPrefix(host)
  const child = spawn(command, [...args, process.execPath, '-e', ECHO])
  const ended = new Promise((resolve) => child.on('exit', resolve))
  for await (const line of createInterface({ input: child.stdout })) if (line === 'bound') break
  return {
    pid: child.pid,
    ended,
    async [Symbol.asyncDispose]() {
      child.stdin.end()
      await ended
    },
  }
}

/** How many of `count` datagrams come back. */
async function echoes(lab: NetworkLab, from: LabHost, to: LabHost, count: number): Promise<number> {
  const [command, ...args] = lab.commandPrefix(from)
  const { stdout } = await run(command, [
    ...args,
    process.execPath,
    '-e',
    COUNT_ECHOES,
    to.address,
    String(count),
  ])
  return Number(stdout)
}

describe('a network lab', () => {
  test('carries, loses, cuts and mends', async () => {
    await using stack = new AsyncDisposableStack()
    const lab = stack.use(await NetworkLab.open(3))
    const [first, second, third] = lab.hosts as [LabHost, LabHost, LabHost]
    stack.use(await startEcho(lab, second))

    expect(await echoes(lab, first, second, 100)).toBe(100)
    const counters = await lab.counters()
    expect(counters).toMatchObject({ udpPackets: 200, udpBytes: 200 * 29, tcpPackets: 0, tcpBytes: 0 })

    // Both ways: 0.7 * 0.7 of 2,000 come back, with a standard deviation of 22.
    await lab.setTraffic({ ...CLEAR, lossFraction: 0.3 })
    const returned = await echoes(lab, first, second, 2000)
    expect(returned).toBeGreaterThan(980 - 6 * 22)
    expect(returned).toBeLessThan(980 + 6 * 22)

    await lab.setTraffic({ ...CLEAR, islands: [[first.address], [second.address, third.address]] })
    expect(await echoes(lab, first, second, 10)).toBe(0)
    expect(await echoes(lab, third, second, 10)).toBe(10)

    await lab.setTraffic(CLEAR)
    expect(await echoes(lab, first, second, 10)).toBe(10)
  })

  test('hosts reach only each other', async () => {
    await using lab = await NetworkLab.open(1)
    const [host] = lab.hosts as [LabHost]
    const { stdout } = await run('ip', ['-n', host.namespace, '-br', 'addr'])
    const devices = stdout.split('\n').flatMap((line) => line.match(/^[^\s@]+/)?.[0] ?? [])
    expect(devices.filter((name) => name === 'lo' || name === 'eth0').sort()).toEqual(['eth0', 'lo'])
    const router = host.namespace.replace(/-1$/, '-router')
    const routes = await run('ip', ['-n', router, 'route'])
    expect(routes.stdout.trim().split('\n')).toEqual([`${host.address} dev host1 scope link`])
  })

  test('closing ends what runs on the hosts, stopped or not, and removes them', async () => {
    const lab = await NetworkLab.open(1)
    const [host] = lab.hosts as [LabHost]
    const echo = await startEcho(lab, host)
    process.kill(echo.pid as number, 'SIGSTOP')
    await lab.close()
    await lab.close()
    const { stdout } = await run('ip', ['netns', 'list'])
    expect(stdout).not.toContain(host.namespace)
    await echo.ended
  })

  test('what a crashed run has left is removed by the next', async () => {
    const script = `
      import { spawn } from 'node:child_process'
      const { NetworkLab } = await import(${JSON.stringify(`${import.meta.dirname}/../../lab/network/network-lab.ts`)})
      const lab = await NetworkLab.open(1)
      const [command, ...args] = lab.commandPrefix(lab.hosts[0])
      const child = spawn(command, [...args, 'sh', '-c', 'echo up; exec sleep 600'])
      await new Promise((resolve) => child.stdout.once('data', resolve))
      child.kill('SIGSTOP')
      console.log(lab.hosts[0].namespace, child.pid)
      process.kill(process.pid, 'SIGKILL')`
    const crashed = await run(process.execPath, ['--input-type=module', '-e', script]).catch(
      (error: { stdout: string; signal: string }) => error,
    )
    const [namespace = '', pid = ''] = crashed.stdout.trim().split(' ')
    expect(namespace).toMatch(/^ringman-lab-\d+-1-1$/)
    // The kernel sends the signal at once, and the process takes it when it is next scheduled.
    await expect.poll(() => processState(Number(pid)), { timeout: 60_000 }).toBeOneOf(['gone', 'Z'])
    expect((await run('ip', ['netns', 'list'])).stdout).toContain(namespace)
    await using _lab = await NetworkLab.open(1)
    expect((await run('ip', ['netns', 'list'])).stdout).not.toContain(namespace)
  })
})

/** The kernel's letter for the state of a process, or `gone`. */
async function processState(pid: number): Promise<string> {
  try {
    return /\) (\w)/.exec(await readFile(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? ''
  } catch {
    return 'gone' // its directory is
  }
}
