import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { RingmanError } from '../../src/errors.ts'
import { silentLogger } from '../../src/logger.ts'
import { SourceBase } from '../../src/membership/source-base.ts'

/** A source that notes what is asked of it, and in which stage it was then. */
class NotedSource extends SourceBase {
  readonly notes: string[] = []
  /** What `open` waits for, and what `close` waits for. */
  opening: Promise<void> | undefined
  closing: Promise<void> | undefined

  constructor() {
    super(silentLogger)
  }

  get isStopped(): boolean {
    return this.stopped.aborted
  }

  failWith(error: unknown): void {
    this.fail(error)
  }

  protected async open(ending: AbortSignal): Promise<void> {
    this.#note('open')
    ending.addEventListener('abort', () => {
      this.#note('ending')
    })
    await this.opening
  }

  protected begin(): void {
    this.#note('begin')
  }

  protected async close(): Promise<void> {
    this.#note('close')
    await this.closing
  }

  #note(what: string): void {
    this.notes.push(`${what}: ${this.stage}${this.isStopped ? ', stopped' : ''}`)
  }
}

const never = new AbortController().signal

/** What a promise has come to by now. */
async function stateOf(promise: Promise<unknown>): Promise<string> {
  await setImmediate()
  return Promise.race([
    promise.then(
      () => 'fulfilled',
      () => 'rejected',
    ),
    setImmediate('pending'),
  ])
}

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

describe('the life of a source', () => {
  test('goes from new to stopped, each thing once, and is over when all is closed', async () => {
    const source = new NotedSource()
    const closing = Promise.withResolvers<void>()
    source.closing = closing.promise
    expect(source.stage).toBe('new')
    await source.start(never)
    expect(source.stage).toBe('running')
    await expect(source.leave()).resolves.toBeUndefined()
    const stopping = source.stop()
    expect(source.stop()).toBe(stopping)
    expect(await Promise.all([stateOf(stopping), stateOf(source.done)])).toEqual(['pending', 'pending'])
    closing.resolve()
    expect(await Promise.all([stateOf(stopping), stateOf(source.done)])).toEqual(['fulfilled', 'fulfilled'])
    expect(source.notes).toEqual([
      'open: starting',
      'begin: running',
      'ending: stopped, stopped',
      'close: stopped, stopped',
    ])
    expect(await failureOf(source.start(never))).toMatchObject({
      code: 'SOURCE_FAILED',
      message: expect.stringContaining('stopped') as string,
    })
  })

  test('is no more than one start, also while it starts', async () => {
    const source = new NotedSource()
    const starting = source.start(never)
    expect(await failureOf(source.start(never))).toMatchObject({
      message: expect.stringContaining('starting') as string,
    })
    await starting
    expect(await failureOf(source.start(never))).toMatchObject({
      message: expect.stringContaining('running') as string,
    })
  })
})

describe('a start that fails', () => {
  test.each([
    [
      'an error',
      new Error('no socket'),
      { code: 'SOURCE_FAILED', message: 'the source could not start: no socket' },
    ],
    ['an error of ours', new RingmanError('CONFIG_INVALID', 'no such host'), { code: 'CONFIG_INVALID' }],
  ])('with %s has closed everything before it says so', async (_, error, expected) => {
    const source = new NotedSource()
    const closing = Promise.withResolvers<void>()
    source.opening = Promise.reject(error)
    source.closing = closing.promise
    const starting = source.start(never)
    expect(await stateOf(starting)).toBe('pending')
    closing.resolve()
    const failure = await failureOf(starting)
    expect(failure).toMatchObject(expected)
    if (failure !== error) expect((failure as Error).cause).toBe(error)
    expect(source.notes.at(-1)).toBe('close: stopped, stopped')
    expect(source.notes.join()).not.toContain('begin')
  })

  test('because it was stopped at once, or nobody wants it, opens nothing', async () => {
    const stopped = new NotedSource()
    const starting = stopped.start(never)
    await stopped.stop()
    const unwanted = new NotedSource()
    for (const failure of [await failureOf(starting), await failureOf(unwanted.start(AbortSignal.abort()))])
      expect(failure).toMatchObject({ code: 'SOURCE_FAILED' })
    for (const { notes } of [stopped, unwanted]) expect(notes).toEqual(['close: stopped, stopped'])
  })

  test('because it was stopped while it opened tells what became of that', async () => {
    const source = new NotedSource()
    const opening = Promise.withResolvers<void>()
    source.opening = opening.promise
    const starting = source.start(never)
    await setImmediate()
    const stopping = source.stop()
    const reason = new Error('aborted')
    opening.reject(reason)
    expect(await failureOf(starting)).toMatchObject({ code: 'SOURCE_FAILED', cause: reason })
    await stopping
    expect(source.notes.join()).not.toContain('begin')
  })
})

test('a source that can go no further says so to those who ask, and harms nobody where none does', async () => {
  const unhandled: unknown[] = []
  const listen = (reason: unknown) => void unhandled.push(reason)
  process.on('unhandledRejection', listen)
  const source = new NotedSource()
  const reason = new Error('lost')
  source.failWith(reason)
  await setImmediate()
  process.off('unhandledRejection', listen)
  expect(unhandled).toEqual([])
  expect(await failureOf(source.done)).toBe(reason)
})
