import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { RingmanError } from '../../src/errors.ts'
import { DescriptorWriter, createLogger } from '../../src/telemetry/logger.ts'
import type { LogFields } from '../../src/logger.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { repeatedKeys } from '../support/repeated-keys.ts'

const directory = mkdtempSync(join(tmpdir(), 'ringman-logger-'))
afterAll(() => {
  rmSync(directory, { recursive: true })
})

function recorder() {
  const lines: string[] = []
  return { lines, destination: { write: (line: string) => void lines.push(line) } }
}

describe('createLogger', () => {
  test('writes one JSON object per line, with level as a word and time in ISO 8601', () => {
    const { lines, destination } = recorder()
    const logger = createLogger({ level: 'info', format: 'json', member: 'a', destination })
    logger.child({ component: 'ring' }).info({ event: 'ring.changed', epoch: 2 }, 'Changed the ring')
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/\}\n$/)
    const line = JSON.parse(lines[0] ?? '') as Record<string, unknown>
    expect(line).toMatchObject({
      level: 'info',
      member: 'a',
      component: 'ring',
      event: 'ring.changed',
      epoch: 2,
      msg: 'Changed the ring',
    })
    expect(line['time']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  })

  test('writes times as the language does, in each month, hour and millisecond', () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    try {
      const { lines, destination } = recorder()
      const logger = createLogger({ level: 'info', format: 'json', destination })
      for (let ms = Date.UTC(2028, 0, 1); ms < Date.UTC(2029, 0, 2); ms += 3_723_456) {
        vi.setSystemTime(ms)
        logger.info({}, 'Told the time')
        expect((JSON.parse(lines.pop()!) as { time: string }).time).toBe(new Date(ms).toISOString())
      }
    } finally {
      vi.useRealTimers()
    }
  })

  test('leaves out what is less severe than the level', () => {
    const { lines, destination } = recorder()
    const logger = createLogger({ level: 'warn', format: 'json', destination })
    for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const)
      logger[level]({}, level)
    expect(lines.map((line) => (JSON.parse(line) as { level: string }).level)).toEqual([
      'warn',
      'error',
      'fatal',
    ])
    const none = recorder()
    createLogger({ level: 'silent', format: 'json', destination: none.destination }).fatal({}, 'Ended')
    expect(none.lines).toEqual([])
  })

  test('tells of an error its code, detail and causes', () => {
    const { lines, destination } = recorder()
    const cause = new Error('port in use')
    const err = new RingmanError('SOURCE_FAILED', 'no start', { cause, detail: { port: 7946 } })
    createLogger({ level: 'info', format: 'json', destination }).error({ err }, 'Failed')
    const line = JSON.parse(lines[0] ?? '') as { err: Record<string, unknown> }
    expect(line.err).toMatchObject({ type: 'RingmanError', code: 'SOURCE_FAILED', detail: { port: 7946 } })
    expect(line.err['message']).toContain('port in use')
    expect(line.err['stack']).toContain('port in use')
  })

  test('writes lines for people when asked to, without colours where there is no terminal', () => {
    const { lines, destination } = recorder()
    createLogger({ level: 'info', format: 'pretty', destination }).info({ event: 'ready' }, 'Became ready')
    expect(lines.join('')).toMatch(/INFO.*Became ready.*ready/)
    // eslint-disable-next-line no-control-regex
    expect(lines.join('')).not.toMatch(/\u001B/)
  })
})

test('a line for people names the other member and not this one, which is on every line', () => {
  const { lines, destination } = recorder()
  const logger = createLogger({ level: 'info', format: 'pretty', member: 'ring-0', destination })
  logger.info({ event: 'member.moved', peer: 'ring-7' }, 'A name came back from another address')
  expect(lines.join('')).toContain('"peer":"ring-7"')
  expect(lines.join('')).not.toContain('ring-0')
})

test('RecordingLogger takes what the real logger writes, and refuses a key that it would write twice', () => {
  const logger = new RecordingLogger()
  logger.child({ component: 'ring' }).info({ event: 'ring.changed', component: 'other' }, 'Changed')
  expect(logger.lines).toEqual([
    { level: 'info', fields: { component: 'other', event: 'ring.changed' }, message: 'Changed' },
  ])
  const claimed = { event: 'conflict.found', member: 'b' } as unknown as LogFields
  expect(() => logger.warn(claimed, 'Found a conflict')).toThrow(/has member twice/)
  expect(repeatedKeys('{"a":{"b":[{"a":1},{"a":2}]},"b":"\\"a\\":1","a":1}')).toEqual(['a'])
})

describe('DescriptorWriter', () => {
  test('writes whole lines at once', () => {
    const path = join(directory, 'log')
    const descriptor = openSync(path, 'w')
    const writer = new DescriptorWriter(descriptor)
    writer.write('one\n')
    writer.write('zwei ü\n')
    expect(readFileSync(path, 'utf8')).toBe('one\nzwei ü\n')
    closeSync(descriptor)
  })

  test('drops what a full disk does not take, and goes on', () => {
    const descriptor = openSync('/dev/full', 'w')
    const writer = new DescriptorWriter(descriptor)
    writer.write('one\n')
    expect(() => {
      writer.write('two\n')
    }).not.toThrow()
    closeSync(descriptor)
  })

  test('survives a reader that went away', async () => {
    const script = `
      import { DescriptorWriter } from ${JSON.stringify(new URL('../../src/telemetry/logger.ts', import.meta.url).href)}
      process.stdin.once('data', () => {
        const writer = new DescriptorWriter(1)
        for (let i = 0; i < 1000; i++) writer.write('x'.repeat(1000) + '\\n')
        process.stderr.write('gone on')
        process.stdin.destroy()
      })`
    const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script])
    const errors: string[] = []
    child.stderr.on('data', (data: Buffer) => void errors.push(data.toString()))
    child.stdout.destroy()
    child.stdout.once('close', () => child.stdin.write('go'))
    const code = await new Promise((resolve) => child.once('close', resolve))
    expect([code, errors.join('')]).toEqual([0, 'gone on'])
  })
})
