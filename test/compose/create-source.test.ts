import { expect, test } from 'vitest'
import { systemClock, systemRandom } from '../../src/clock.ts'
import { createSource } from '../../src/compose/create-source.ts'
import { loadOptions } from '../../src/config/load.ts'
import { MEMBER_SETTINGS } from '../../src/config/member-settings.ts'
import { noTracer } from '../../src/tracing.ts'
import { guardFor } from '../support/http-parts.ts'
import { RecordingLogger } from '../support/recording-logger.ts'

test.each([
  [{ source: 'memberlist', bind: '0.0.0.0' }, ['']],
  [{ source: 'memberlist', bind: '10.0.0.1', label: 'blue' }, ['blue']],
  [{ source: 'swim', bind: '::' }, ['']],
  [{ source: 'memberlist', bind: '0.0.0.0', keyringFile: '/keyring' }, []],
  [{ source: 'memberlist', bind: '127.0.0.1' }, []],
  [{ source: 'swim', bind: '::1' }, []],
  [{ source: 'static', staticMembers: ['a:1'] }, []],
])('gossip of %j that strangers can join is told of: label %j', (options, labels) => {
  const logger = new RecordingLogger()
  const { values } = loadOptions(MEMBER_SETTINGS, { name: 'a', ...options }, () => [])
  createSource(values, {
    clock: systemClock,
    random: systemRandom,
    logger,
    tracer: noTracer,
    guard: guardFor(),
  })
  const told = logger.of('gossip.open')
  expect(told.map(({ level, fields }) => [level, fields['label']])).toEqual(
    labels.map((label) => ['warn', label]),
  )
  // Only what the source knows is recommended.
  for (const { message } of told)
    expect(message.includes('--keyring-file')).toBe(options.source === 'memberlist')
})
