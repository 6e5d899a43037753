import { describe, expect, test } from 'vitest'
import { sleep } from '../../src/clock.ts'
import { liveUntilStopped, type LivingMember } from '../../src/cli/member-life.ts'
import { RingmanError } from '../../src/errors.ts'
import type { ProcessLogger } from '../../src/telemetry/logger.ts'
import { settle, VirtualClock } from '../support/virtual-clock.ts'

/** A life on a virtual clock, with a member that does as it is told and a log of what happened. */
function begin(behaviour: Partial<Record<'start' | 'leave' | 'close', () => Promise<void>>> = {}) {
  const clock = new VirtualClock()
  const log: string[] = []
  const note = (what: string) => void log.push(`${clock.now()} ${what}`)
  const events = new Map<string, Record<string, unknown>>()
  const write = (fields: Readonly<Record<string, unknown>>) => {
    events.set(String(fields['event']), fields)
    note(String(fields['event']))
  }
  const logger: ProcessLogger = {
    trace: write,
    debug: write,
    info: write,
    warn: write,
    error: write,
    fatal: write,
    child: () => logger,
  }
  const done = Promise.withResolvers<void>()
  const stop = Promise.withResolvers<string>()
  const state = { ready: true, left: false }
  const act = async (name: 'start' | 'leave' | 'close', words: string) => {
    note(words)
    await behaviour[name]?.()
  }
  const member: LivingMember = {
    service: {
      done: done.promise,
      leave: async (drainMs) => {
        await act('leave', `leave(${drainMs})`)
        if (drainMs > 0) await Promise.race([sleep(clock, drainMs), done.promise])
      },
    },
    readiness: {
      settled: async (signal) => {
        while (!state.ready && !signal.aborted) {
          if (state.left) throw new RingmanError('MANAGER_NOT_RUNNING', 'the ring was left')
          await sleep(clock, 50, signal)
        }
      },
    },
    start: async () => {
      await act('start', 'start()')
      return { http: { port: 1 } }
    },
    close: async (graceMs) => {
      await act('close', `close(${graceMs})`)
      done.resolve()
    },
  }
  const life = liveUntilStopped(member, {
    stopRequest: stop.promise,
    drainMs: 5000,
    logger,
    readyFields: { source: 'static' },
  })
  return { clock, log, events, done, stop, state, life }
}

const never = () => new Promise<void>(() => {})

describe('a life', () => {
  test('ends in order: leave with drain, close', async () => {
    const { clock, log, events, stop, life } = begin()
    await clock.advance(1000)
    expect(events.get('ready')).toEqual({ event: 'ready', http: { port: 1 }, source: 'static' })
    stop.resolve('SIGTERM')
    await clock.advance(10_000)
    expect(await life).toBe(0)
    expect(log).toEqual([
      '0 start()',
      '0 ready',
      '1000 shutdown.started',
      '1000 leave(5000)',
      '6000 close(1000)',
      '6000 shutdown.finished',
    ])
    expect(clock.pendingTimers).toBe(0)
  })

  test('says that it is ready when it is, once', async () => {
    const { clock, log, state, stop, life } = begin()
    state.ready = false
    await clock.advance(500)
    expect(log).toEqual(['0 start()'])
    state.ready = true
    await clock.advance(500)
    expect(log.slice(1)).toEqual(['550 ready'])
    stop.resolve('SIGTERM')
    await clock.advance(10_000)
    expect(await life).toBe(0)
    expect(log.filter((line) => line.endsWith(' ready') && !line.endsWith('not ready'))).toHaveLength(1)
  })

  test('that is stopped before it is ready never says that it is', async () => {
    const { clock, log, state, stop, life } = begin()
    state.ready = false
    await clock.advance(100)
    stop.resolve('SIGTERM')
    await settle()
    state.ready = true
    await clock.advance(10_000)
    expect(await life).toBe(0)
    expect(log.some((line) => /\d ready$/.test(line))).toBe(false)
    expect(log).toContain('5100 close(1000)')
  })

  test('that an operator evicts before it is ready goes on until it is stopped', async () => {
    const { clock, log, state, stop, life } = begin()
    state.ready = false
    await clock.advance(100)
    state.left = true
    await clock.advance(1000)
    expect(log).toEqual(['0 start()'])
    stop.resolve('SIGTERM')
    await clock.advance(10_000)
    expect(await life).toBe(0)
    expect(log.at(-1)).toBe('6100 shutdown.finished')
  })

  test('that is stopped while it starts closes at once', async () => {
    const { clock, log, stop, life } = begin({ start: never })
    await clock.advance(100)
    stop.resolve('SIGINT')
    await settle()
    expect(await life).toBe(0)
    expect(log).toEqual(['0 start()', '100 shutdown.started', '100 leave(0)', '100 close(0)'])
  })

  test.each([
    ['a fault', new Error('bug'), 1],
    ['a port in use', new RingmanError('SOURCE_FAILED', 'port 1 is in use'), 1],
    ['a setting that is wrong', new RingmanError('CONFIG_INVALID', 'no such address'), 2],
  ])('that cannot start for %s says why', async (_, error, code) => {
    const { events, log, life } = begin({ start: () => Promise.reject(error) })
    expect(await life).toBe(code)
    expect(log).toEqual(['0 start()', '0 process.failed', '0 close(0)'])
    const fields = events.get('process.failed')
    if (error instanceof RingmanError)
      expect(fields).toMatchObject({ code: error.code, reason: error.message })
    else expect(fields).toMatchObject({ err: error })
  })

  test.each([
    ['while it runs', false],
    ['while it drains', true],
  ])('whose ring dies %s ends with the reason', async (_, draining) => {
    const { clock, log, events, done, stop, life } = begin()
    await clock.advance(100)
    if (draining) {
      stop.resolve('SIGTERM')
      await clock.advance(100)
    }
    const err = new Error('the loop died')
    done.reject(err)
    await settle()
    expect(await life).toBe(1)
    expect(events.get('process.failed')).toMatchObject({ err })
    expect(log.at(-1)).toBe(`${draining ? 200 : 100} close(0)`)
  })

  test('that cannot even close says so and ends', async () => {
    const { log, life } = begin({
      start: () => Promise.reject(new Error('bug')),
      close: () => Promise.reject(new Error('another')),
    })
    expect(await life).toBe(1)
    expect(log.at(-1)).toBe('0 shutdown.failed')
  })
})
