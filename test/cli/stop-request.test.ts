import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { listenForStop } from '../../src/cli/stop-request.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

function listening({ parent = false } = {}) {
  const clock = new VirtualClock()
  const channel = { unref: () => {} } as NonNullable<NodeJS.Process['channel']>
  const source = Object.assign(new EventEmitter(), { channel: parent ? channel : undefined })
  const ended: [string, number][] = []
  const request = listenForStop((signal, code) => ended.push([signal, code]), clock, source)
  return { clock, source, ended, request }
}

test('a signal that a terminal sends and npm passes on is one request; later it ends the process at once', async () => {
  const { clock, source, ended, request } = listening()
  source.emit('SIGINT')
  source.emit('SIGINT')
  expect(await request).toBe('SIGINT')
  await clock.advance(499)
  source.emit('SIGINT')
  expect(ended).toEqual([])
  await clock.advance(1)
  source.emit('SIGINT')
  expect(ended).toEqual([['SIGINT', 130]])
})

test.each([
  ['SIGTERM', 143],
  ['SIGHUP', 129],
  ['SIGQUIT', 131],
] as const)('another signal, %s, ends the process at once', (signal, code) => {
  const { source, ended } = listening()
  source.emit('SIGINT')
  source.emit(signal)
  expect(ended).toEqual([[signal, code]])
})

test('the end of the parent process is a request, and a signal after it ends the process', async () => {
  const { source, ended, request } = listening({ parent: true })
  source.emit('disconnect')
  expect(await request).toBe('the end of the parent process')
  source.emit('SIGTERM')
  expect(ended).toEqual([['SIGTERM', 143]])
})
