import { execFileSync } from 'node:child_process'
import type { IncomingMessage } from 'node:http'
import { rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ActingGuard } from '../../src/http/acting-guard.ts'
import { tokenFileWith } from '../support/http-parts.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

test.each([
  ['fifteen-letters', 1],
  ['sixteen--letters', 0],
])('the token %s makes %i warnings at the start, which do not hold it', (token, warnings) => {
  const tokenFile = tokenFileWith(token)
  const logger = new RecordingLogger()
  const guard = new ActingGuard({ tokenFile, allowedHosts: [], clock: new VirtualClock(), logger })
  expect(guard.hasToken).toBe(true)
  const said = logger.of('token.short')
  expect(said.map(({ level }) => level)).toEqual(Array(warnings).fill('warn'))
  expect(JSON.stringify(said)).not.toContain(token)
})

test('the token stays while something else is in the place of its file', async () => {
  const tokenFile = tokenFileWith('first')
  const clock = new VirtualClock()
  const logger = new RecordingLogger()
  const guard = new ActingGuard({ tokenFile, allowedHosts: [], clock, logger })
  const check = (token: string) => {
    const request = { headers: { authorization: `Bearer ${token}` }, socket: {} } as IncomingMessage
    guard.checkToken(request, false)
  }
  const others = [
    () => execFileSync('mkfifo', [tokenFile]),
    () => {
      symlinkSync('/dev/zero', tokenFile)
    },
    () => {
      writeFileSync(tokenFile, 'x'.repeat(100_000))
    },
  ]
  for (const place of others) {
    rmSync(tokenFile)
    place()
    await clock.advance(2000)
    check('first')
    expect(() => {
      check('other')
    }).toThrow(expect.objectContaining({ code: 'UNAUTHORIZED' }))
  }
  expect(logger.of('token.unreadable').length).toBeGreaterThan(0)
  rmSync(tokenFile)
  writeFileSync(tokenFile, 'second\n')
  await clock.advance(2000)
  check('second')
})
