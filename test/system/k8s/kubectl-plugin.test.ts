import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { ApiServer } from '../../support/api-server.ts'
import { TestProcess } from '../../support/child-process.ts'
import { PATCH_TYPES } from '../../support/kubernetes-api.ts'
import { kubectlPath } from '../../support/kubernetes-tools.ts'
import { LiveCluster } from '../../support/live-cluster.ts'

const NAMESPACE = 'rings'
const PLUGIN = new URL('../../../src/kubectl-ringman.ts', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'ringman-plugin-'))
const cluster = new LiveCluster()
let server: ApiServer
let kubectl: string

/** Writes a program into a folder that can be put before the others in PATH. */
function program(name: string, text: string): string {
  const at = mkdtempSync(join(folder, 'bin-'))
  writeFileSync(join(at, name), text)
  chmodSync(join(at, name), 0o755)
  return at
}

async function createPod(name: string, release: string, ports: object[], phase = 'Running'): Promise<void> {
  const pods = `/api/v1/namespaces/${NAMESPACE}/pods`
  const labels = {
    'app.kubernetes.io/name': 'ringman',
    'app.kubernetes.io/instance': release,
    'app.kubernetes.io/component': 'member',
  }
  const spec = { nodeName: 'node-1', containers: [{ name: 'ringman', image: 'ringman', ports }] }
  await server.ask('POST', pods, { body: { metadata: { name, labels }, spec } })
  await server.ask('PATCH', `${pods}/${name}/status`, {
    body: { status: { phase } },
    contentType: PATCH_TYPES.strategic,
  })
}

beforeAll(async () => {
  kubectl = await kubectlPath()
  server = await ApiServer.start()
  await server.createNamespace(NAMESPACE)
  const body = { metadata: { name: 'default' }, automountServiceAccountToken: false }
  await server.ask('POST', `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`, { body })
  for (const name of ['blue-0', 'blue-1']) {
    const { addresses } = await cluster.add(name)
    await createPod(name, 'blue', [
      { name: 'http', containerPort: addresses.http.port },
      { name: 'admin', containerPort: addresses.admin.port },
    ])
  }
  await createPod('blue-2', 'blue', [], 'Succeeded')
  await createPod('green-0', 'green', [])
  await cluster.agreeOn(2)
})
afterAll(async () => {
  await cluster[Symbol.asyncDispose]()
  await server.stop()
  rmSync(folder, { recursive: true })
})

/** Runs `kubectl ringman`: the real kubectl finds and starts the plugin, which then finds the kubectl that comes first. */
async function plugin(kubectlFolder: string, ...args: string[]) {
  const shim = program('kubectl-ringman', `#!/bin/sh\nexec ${process.execPath} ${PLUGIN} "$@"\n`)
  const path = [kubectlFolder, shim, process.env['PATH']].join(delimiter)
  // The first argument is the Node.js that other tests run.
  const script = `shift; exec '${kubectl}' ringman "$@"`
  await using shell = new TestProcess(args, {
    prefix: ['/bin/sh', '-c', script, 'sh'],
    env: { PATH: path, KUBECONFIG: server.kubeconfig },
  })
  const { code } = await shell.ended
  return { code, out: shell.out, err: shell.err }
}

/** The real one for all but the forwarding, which needs a kubelet: that is done to this machine. */
function forwardingKubectl(): string {
  return program(
    'kubectl',
    `#!/usr/bin/env node
const { spawnSync } = require('node:child_process')
const net = require('node:net')
const args = process.argv.slice(2)
if (args[0] !== 'port-forward') process.exit(spawnSync(${JSON.stringify(kubectl)}, args, { stdio: 'inherit' }).status)
const port = Number(args.find((one) => one.startsWith(':')).slice(1))
const relay = net.createServer((socket) => {
  const up = net.connect(port, '127.0.0.1')
  socket.pipe(up).pipe(socket)
  for (const end of [socket, up]) end.on('error', () => { socket.destroy(); up.destroy() })
})
relay.listen(0, '127.0.0.1', () => console.log('Forwarding from 127.0.0.1:' + relay.address().port + ' -> ' + port))
`,
  )
}

test('kubectl runs the plugin, which finds the running pods of a release', async () => {
  const bin = forwardingKubectl()
  const owner = await plugin(bin, 'get', 'user:42', '-n', NAMESPACE, '--release', 'blue')
  expect(owner).toMatchObject({ code: 0, err: '' })
  expect(owner.out).toMatch(/blue-[01]/)
  const doctor = await plugin(bin, 'doctor', '-n', NAMESPACE, '--release', 'blue')
  expect(doctor).toMatchObject({ code: 0, out: '2 members answered; nothing is wrong\n' })
  expect(await plugin(bin, 'nodes', '-n', NAMESPACE)).toMatchObject({
    code: 2,
    err: expect.stringContaining('--release: blue, green') as string,
  })
  expect(await plugin(bin, 'nodes', '-n', 'nowhere')).toMatchObject({
    code: 2,
    err: expect.stringContaining('no running pod') as string,
  })
})

test('what the real kubectl says of forwarding is passed on', async () => {
  const real = program('kubectl', `#!/bin/sh\nexec '${kubectl}' "$@"\n`)
  const { code, err } = await plugin(real, 'get', 'user:42', '-n', NAMESPACE, '--release', 'green')
  expect(err).toContain('kubectl does not forward to the pod green-0: ')
  expect(code).toBe(3)
})

test('the manifest for krew starts what the package brings', () => {
  const { bin } = JSON.parse(readFileSync('package.json', 'utf8')) as { bin: Record<string, string> }
  const manifest = parse(readFileSync('tools/krew/ringman.yaml', 'utf8')) as {
    spec: { platforms: { bin: string }[] }
  }
  expect(manifest.spec.platforms.map((platform) => platform.bin)).toEqual([bin['kubectl-ringman']])
})
