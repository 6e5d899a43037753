import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { apiErrorKindOf } from '../../src/kubernetes/api-error.ts'
import { InClusterAccess } from '../../src/kubernetes/in-cluster-access.ts'

let folder: string
let nowMs: number

beforeEach(() => {
  nowMs = 0
  folder = mkdtempSync(join(tmpdir(), 'ringman-account-'))
  onTestFinished(() => {
    rmSync(folder, { recursive: true })
  })
  writeFileSync(join(folder, 'token'), 'first\n')
  writeFileSync(join(folder, 'ca.crt'), 'the authority')
  writeFileSync(join(folder, 'namespace'), 'ring')
})

const access = (env: Record<string, string> = {}) =>
  new InClusterAccess({
    env: { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443', ...env },
    now: () => nowMs,
    folder,
  })

const kindOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => apiErrorKindOf(error),
  )

test('server, authority, token and namespace are the pod’s', async () => {
  expect(await access().connection()).toMatchObject({
    namespace: 'ring',
    headers: { authorization: 'Bearer first' },
    options: { ca: 'the authority' },
  })
  expect((await access().connection()).server.href).toBe('https://10.96.0.1/')
  const { server } = await access({
    KUBERNETES_SERVICE_HOST: 'fd00::1',
    KUBERNETES_SERVICE_PORT: '6443',
  }).connection()
  expect(server.href).toBe('https://[fd00::1]:6443/')
})

test('the token is read again after a minute, and when it was refused', async () => {
  const own = access()
  const token = async () => (await own.connection()).headers['authorization']
  expect(await token()).toBe('Bearer first')
  writeFileSync(join(folder, 'token'), 'second')
  nowMs = 59_000
  expect(await token()).toBe('Bearer first')
  nowMs = 60_000
  expect(await token()).toBe('Bearer second')
  writeFileSync(join(folder, 'token'), 'third')
  own.renew()
  expect(await token()).toBe('Bearer third')
})

test('what is missing is told, and is no reason to give up later', async () => {
  expect(await kindOf(access({ KUBERNETES_SERVICE_HOST: '' }).connection())).toBe('credentials')
  expect(await kindOf(access({ KUBERNETES_SERVICE_HOST: 'a b' }).connection())).toBe('credentials')
  writeFileSync(join(folder, 'token'), '\n')
  const own = access()
  expect(await kindOf(own.connection())).toBe('credentials')
  writeFileSync(join(folder, 'token'), 'late')
  expect(await kindOf(own.connection())).toBeUndefined()
  rmSync(join(folder, 'namespace'))
  expect((await access().connection()).namespace).toBeUndefined()
})
