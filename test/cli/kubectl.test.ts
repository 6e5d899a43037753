import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Finding } from '../../src/cli/doctor-finding.ts'
import { TestProcess } from '../support/child-process.ts'
import { LiveCluster } from '../support/live-cluster.ts'

const PLUGIN = new URL('../../src/kubectl-ringman.ts', import.meta.url).pathname
const cluster = new LiveCluster()
const log = `${cluster.folder}/kubectl.log`

/**
 * Stands in for kubectl: it knows the members of the cluster as pods of one release, or of two in the namespace `two`, and
 * forwards to them by relaying, on a port of its own.
 */
const STAND_IN = `#!/usr/bin/env node
const { appendFileSync, readFileSync } = require('node:fs')
const net = require('node:net')
const args = process.argv.slice(2)
appendFileSync(${JSON.stringify(log)}, JSON.stringify(args) + '\\n')
const members = JSON.parse(readFileSync(${JSON.stringify(`${cluster.folder}/members.json`)}, 'utf8'))
if (args[0] === 'get') {
  if (args.includes('--namespace=nobody')) { console.error('E1129 memcache.go:265] "Unhandled Error"\\nError: namespaces "nobody" is forbidden'); process.exit(1) }
  const label = args.find((one) => one.startsWith('--selector='))
  const items = members.map(({ name, http, admin }, at) => ({
    metadata: { name, labels: { 'app.kubernetes.io/instance': args.includes('--namespace=two') && at > 0 ? 'other' : 'ringman' } },
    spec: { containers: [{ ports: [{ name: 'http', containerPort: http }, { name: 'admin', containerPort: admin }] }] },
    status: { phase: 'Running' },
  }))
  const ended = { metadata: { name: 'ended' }, status: { phase: 'Succeeded' } }
  console.log(JSON.stringify({ items: label.includes('none') ? [] : [...items, ended] }))
} else {
  const port = Number(args.find((one) => one.startsWith(':')).slice(1))
  const relay = net.createServer((socket) => {
    const up = net.connect(port, '127.0.0.1')
    socket.pipe(up).pipe(socket)
    for (const end of [socket, up]) end.on('error', () => { socket.destroy(); up.destroy() })
  })
  relay.listen(0, '127.0.0.1', () => {
    console.log('Forwarding from 127.0.0.1:' + relay.address().port + ' -> ' + port)
  })
}
`

beforeAll(async () => {
  await cluster.addAll('ringman-0', 'ringman-1', 'ringman-2')
  const members = cluster.members.map(({ name, addresses }) => ({
    name,
    http: addresses.http.port,
    admin: addresses.admin.port,
  }))
  writeFileSync(`${cluster.folder}/members.json`, JSON.stringify(members))
  writeFileSync(`${cluster.folder}/package.json`, '{}')
  writeFileSync(`${cluster.folder}/kubectl`, STAND_IN)
  chmodSync(`${cluster.folder}/kubectl`, 0o755)
})
afterAll(() => cluster[Symbol.asyncDispose]())

async function plugin(...args: string[]) {
  await using run = new TestProcess([PLUGIN, ...args], {
    env: { PATH: `${cluster.folder}${delimiter}${process.env['PATH']}` },
  })
  const { code } = await run.ended
  return { code, out: run.out, err: run.err }
}

test('asks any pod for owners; -n is the namespace, --count the owners', async () => {
  // Other tests have called it, too.
  writeFileSync(log, '')
  const one = await plugin('get', 'user:42', '-n', 'rings')
  expect(one).toMatchObject({ code: 0, err: '' })
  expect(one.out).toMatch(/^127\.0\.0\.1:800\d ringman-\d|^127\.0\.0\.1:800\d/)
  const two = await plugin('get', 'user:42', '--namespace=rings', '--count', '2', '--context', 'prod')
  expect(two.out.trimEnd().split('\n')).toHaveLength(2)
  const calls = readFileSync(log, 'utf8').trimEnd().split('\n')
  expect(JSON.parse(calls[0] ?? '')).toEqual([
    'get',
    'pods',
    '--output=json',
    '--selector=app.kubernetes.io/component=member',
    '--namespace=rings',
  ])
  expect(JSON.parse(calls.at(-1) ?? '')).toEqual([
    'port-forward',
    '--address=127.0.0.1',
    'pod/ringman-0',
    `:${cluster.members[0]?.addresses.http.port}`,
    '--namespace=rings',
    '--context=prod',
  ])
})

test('doctor asks all pods by their forwarded ports', async () => {
  const { code, out } = await plugin('doctor', '-n', 'rings', '--json')
  expect(code).toBe(0)
  const { findings, members } = JSON.parse(out) as { findings: Finding[]; members: unknown[] }
  expect(findings).toEqual([])
  expect(members).toHaveLength(3)
})

test('agree asks all pods', async () => {
  const { code, out } = await plugin('agree', '-n', 'rings', '--expect', '3')
  expect(out).toMatch(/^3 members agree/)
  expect(code).toBe(0)
})

test('the pod that is named acts', async () => {
  const token = ['--token-file', cluster.tokenFile]
  expect(await plugin('drain', '-n', 'rings', ...token)).toMatchObject({
    code: 2,
    err: expect.stringContaining('--pod POD') as string,
  })
  const { code } = await plugin('drain', '-n', 'rings', '--pod', 'ringman-1', ...token)
  expect(code).toBe(0)
  expect(cluster.members.map(({ process }) => process.service.drained)).toEqual([false, true, false])
  expect((await plugin('return', '-n', 'rings', '--pod', 'ringman-1', ...token)).code).toBe(0)
  await cluster.agreeOn(3)
  // Another pod than the one that is to go has it leave.
  const evicted = await plugin('evict', 'ringman-0', '-n', 'rings', '--dry-run', ...token)
  expect(evicted.out).toMatch(/^This would be done: "ringman-0" is off the ring/)
})

describe('says what is wrong', () => {
  test.each([
    [['get', 'k', '-n', 'two'], 'say which by --release: ringman, other'],
    [['get', 'k', '-l', 'app=none'], 'no running pod with the labels app=none'],
    [['get', 'k', '--pod', 'ringman-9'], 'no running pod "ringman-9"'],
    [['serve'], 'there is no command "serve" here'],
    [['get', 'k', '--url', 'x'], 'leave out --url'],
    [['get', 'k', '-n'], '-n needs a value'],
    [['nodes', '-ojson', '-nrings'], "unknown option '-ojson'"],
    [['nodes', '-ojson'], "unknown option '-ojson'"],
  ])('%j', async (args, message) => {
    const { code, err } = await plugin(...args)
    expect(err).toContain(message)
    expect(code).toBe(2)
  })

  test('what kubectl says, for terminals', async () => {
    expect(await plugin('get', 'k', '-nnobody')).toMatchObject({
      code: 3,
      err: expect.stringContaining('kubectl failed: Error: namespaces "nobody" is forbidden') as string,
    })
  })
})
