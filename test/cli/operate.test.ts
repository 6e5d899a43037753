import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { LiveCluster, type LiveMember } from '../support/live-cluster.ts'
import { runMain } from '../support/recording-terminal.ts'

const cluster = new LiveCluster()
let a: LiveMember
let b: LiveMember
let env: { RINGMAN_TOKEN_FILE: string }

beforeAll(async () => {
  a = await cluster.add('a')
  b = await cluster.add('b')
  await cluster.agreeOn(2)
  env = { RINGMAN_TOKEN_FILE: cluster.tokenFile }
})
afterAll(() => cluster[Symbol.asyncDispose]())

test('drain says what would move, drains, and return undoes it', async () => {
  const { url } = a.addresses.admin
  const tried = await runMain(['drain', '--url', url, '--dry-run'], env)
  expect(tried).toMatchObject({ code: 0, err: '' })
  expect(tried.out).toMatch(/^This would be done: This member is off the ring/)
  expect(tried.out).toMatch(/[0-9.]+% of all keys would move\n\nSHARE +FROM +TO/)
  expect(a.process.service.drained).toBe(false)

  const done = await runMain(['drain', '--url', url, '--reason', 'a test', '--by', 'ann'], env)
  expect(done.out).toMatch(/^This member is off the ring.*\n[0-9.]+% of all keys move\n/)
  expect(a.process.service.drained).toBe(true)
  expect(a.logger.of('admin.action').at(-1)?.fields).toMatchObject({ by: 'ann', reason: 'a test' })
  await cluster.agreeOn(1)

  const back = await runMain(['return', '--url', url, '--json'], env)
  expect(JSON.parse(back.out)).toMatchObject({ action: 'return', changed: true })
  await cluster.agreeOn(2)
})

test('several members act, one after the other, also when one of them does not', async () => {
  const [at, nowhere, bt] = [a.addresses.admin.url, 'http://127.0.0.1:9', b.addresses.admin.url]
  const both = await runMain(['reload', '--url', `${at},${bt}`], env)
  const said = (name: string, url: string) =>
    `${name} (${new URL(url).host}): Its files have nothing new\n- Its keyring has the keys`
  expect(both).toMatchObject({ code: 0, err: '' })
  expect(both.out).toContain(said('a', at))
  expect(both.out).toContain(said('b', bt))

  const urls = `${at},${nowhere},${bt}`
  const three = await runMain(['reload', '--url', urls], env)
  expect(three.code).toBe(3)
  expect(three.out).toContain(said('a', at))
  expect(three.out).toContain(said('b', bt))
  expect(three.err).toMatch(
    /^ringman: 127\.0\.0\.1:9: cannot reach .*\nringman: 1 of 3 members did not do it: 127\.0\.0\.1:9\n$/,
  )

  // The name in the answer is that of the other member, here.
  const refused = await runMain(['forget', 'b', '--url', `${at},${nowhere}`, '--json'], env)
  expect(refused.code).toBe(1)
  expect(refused.out).toContain(`"url": "${at}",\n  "error": {\n    "code": "ACTION_REFUSED",`)
  expect(refused.err).toMatch(new RegExp(`2 of 2 members did not do it: ${new URL(at).host}, 127.0.0.1:9\n$`))
  const gone = await runMain(['evict', 'b', '--url', `${at},${bt}`, '--dry-run'], env)
  expect(gone.out).toMatch(new RegExp(`^${new URL(at).host}: This would be done: "b" is off the ring`))
})

test('what is refused has an exit code and says why', async () => {
  const { url } = a.addresses.admin
  expect(await runMain(['evict', 'nobody', '--url', url], env)).toMatchObject({
    code: 2,
    err: expect.stringContaining('knows no member called "nobody"') as string,
  })
  expect(await runMain(['forget', 'b', '--url', url], env)).toMatchObject({
    code: 1,
    err: expect.stringContaining('is alive') as string,
  })
  expect(await runMain(['weight', 'many', '--url', url], env)).toMatchObject({ code: 2 })
  expect(await runMain(['drain', '--url', url])).toMatchObject({
    code: 2,
    err: expect.stringContaining('--token-file') as string,
  })
  expect(await runMain(['drain', '--url', url, '--token-file', `${cluster.folder}/none`])).toMatchObject({
    code: 2,
    err: expect.stringContaining('cannot be read: ENOENT') as string,
  })
  const other = `${cluster.folder}/wrong`
  writeFileSync(other, 'wrong')
  expect(await runMain(['drain', '--url', url, '--token-file', other])).toMatchObject({
    code: 2,
    err: expect.stringContaining('token is missing or wrong') as string,
  })
  expect(await runMain(['drain', '--url', a.addresses.http.url], env)).toMatchObject({
    code: 2,
    err: expect.stringContaining('an admin port?') as string,
  })
})
