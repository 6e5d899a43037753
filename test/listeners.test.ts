import { once } from 'node:events'
import { expect, test } from 'vitest'
import { Listeners } from '../src/listeners.ts'
import { silentLogger } from '../src/logger.ts'
import { RecordingLogger } from './support/recording-logger.ts'

test('what a listener throws is logged, and keeps no other from being called', () => {
  const logger = new RecordingLogger()
  const listeners = new Listeners<string>(logger)
  const fault = new Error('a fault')
  const heard: string[] = []
  listeners.add((value) => heard.push(`1${value}`))
  listeners.add(() => {
    throw fault
  })
  listeners.add((value) => heard.push(`2${value}`))
  listeners.call('a')
  listeners.call('b')
  expect(heard).toEqual(['1a', '2a', '1b', '2b'])
  expect(logger.of('listener.failed').map(({ fields }) => fields['err'])).toEqual([fault, fault])
})

test('where nobody logs it is a warning of the process', async () => {
  const listeners = new Listeners<string>(silentLogger)
  const warned = once(process, 'warning')
  listeners.add(() => {
    throw new Error('a fault that nobody would see')
  })
  listeners.call('a')
  expect((await warned)[0]).toMatchObject({ message: 'a fault that nobody would see' })
})

test('the same function twice is two subscriptions; one that an earlier listener ended is not called', () => {
  const listeners = new Listeners<string>(silentLogger)
  const heard: string[] = []
  const hear = (value: string) => heard.push(value)
  listeners.add(hear)
  const end = listeners.add(hear)
  listeners.call('a')
  end()
  listeners.call('b')
  expect(heard).toEqual(['a', 'a', 'b'])
  listeners.clear()
  listeners.add(() => {
    endLater()
  })
  const endLater = listeners.add(hear)
  listeners.call('c')
  expect(heard).toHaveLength(3)
})
