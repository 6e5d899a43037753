import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runKit, type Result } from '../../conformance/run.ts'
import { SCENARIOS } from '../../conformance/scenarios.ts'
import { CLIENTS } from './clients.ts'

describe.each(CLIENTS)('the %s client', (_, makeDriver) => {
  const results = new Map<string, Result>()
  let folder: string
  let command: readonly string[]
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ringman-driver-'))
    command = await makeDriver(folder)
    for (const result of await runKit(command)) results.set(result.name, result)
    // Where nothing was compiled before, Go compiles its own library first.
  }, 240_000)
  afterAll(() => rm(folder, { recursive: true }))

  test.each(SCENARIOS.map(({ name }) => name))('%s', async (name) => {
    let result = results.get(name)
    // A machine now and then stands still for as long as a client may wait here; a client with a fault fails each time.
    for (let left = 2; result?.outcome === 'failed' && left > 0; left--) {
      console.log(`${name}: ${result.why}; it is played again`)
      const again = await runKit(command, { only: name })
      result = again.find((one) => one.name === name)
    }
    expect(result).toEqual({ name, outcome: 'passed', why: '' })
  })
})

describe('a client with a fault fails where it has it', () => {
  const faulty = [process.execPath, new URL('faulty-driver.ts', import.meta.url).pathname]

  test.each([
    ['another-owner', 'owners, shares'],
    ['another-share', 'owners, shares'],
    ['digest-of-another-ring', 'follows joins'],
    ['never-stale', 'or does not, until'],
    ['no-address', 'gives the nodes'],
    ['moves-nothing', 'what moves'],
    ['always-ready', 'says why'],
    ['ends', 'plans'],
    ['no-json', 'plans'],
  ])('%s', async (fault, only) => {
    const results = await runKit([...faulty, fault], { only })
    expect(results.map(({ outcome }) => outcome)).toEqual(['failed'])
  })

  test('and what it does not have is left out', async () => {
    const [result] = await runKit([...faulty, 'no-plans'], { only: 'plans' })
    expect(result?.outcome).toBe('left out')
  })
})
