import { beforeAll, describe, expect, test } from 'vitest'
import { runKit, TYPESCRIPT_DRIVER, type Result } from '../../conformance/run.ts'
import { SCENARIOS } from '../../conformance/scenarios.ts'

/** Each client of this project, by its driver. */
const CLIENTS: readonly (readonly [name: string, command: readonly string[]])[] = [
  ['TypeScript', TYPESCRIPT_DRIVER],
  ['Python', ['python3', new URL('../../clients/python/conformance_driver.py', import.meta.url).pathname]],
]

describe.each(CLIENTS)('the %s client', (_, command) => {
  const results = new Map<string, Result>()
  beforeAll(async () => {
    for (const result of await runKit(command)) results.set(result.name, result)
  })

  test.each(SCENARIOS.map(({ name }) => name))('%s', (name) => {
    expect(results.get(name)).toEqual({ name, outcome: 'passed', why: '' })
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
