import { assertNever } from '../../../src/errors.ts'
import type { FakeStream } from '../../support/fake-kubernetes-stream.ts'

/** What can happen to an open watch. */
export const DISTURBANCES = [
  'silence',
  'cut',
  'cut within a line',
  'end',
  'end within a line',
  'malformed line',
  'line of another kind',
  'unknown type',
  'no version',
  'over-long line',
  'expired',
  'error',
] as const

export type Disturbance = (typeof DISTURBANCES)[number]

/** Lets it happen to each of the streams. */
export function disturb(kind: Disturbance, streams: readonly FakeStream[]): void {
  for (const stream of streams) disturbOne(kind, stream)
}

function disturbOne(kind: Disturbance, stream: FakeStream): void {
  switch (kind) {
    case 'silence':
      stream.silence()
      break
    case 'cut':
      stream.fail(new Error('read ECONNRESET'))
      break
    case 'cut within a line':
      stream.send('{"type":"ADDED","obj')
      stream.fail(new Error('read ECONNRESET'))
      break
    case 'end':
      stream.end()
      break
    case 'end within a line':
      stream.send('{"type":"MODIFIED","object":{"metadata":{"name":"cache-a"')
      stream.end()
      break
    case 'malformed line':
      stream.send('{"type":"ADDED","object":}\n')
      break
    case 'line of another kind':
      stream.sendLine({ type: 'MODIFIED', object: { metadata: { resourceVersion: '99999999' } } })
      break
    case 'unknown type':
      stream.sendLine({
        type: 'RENAMED',
        object: { metadata: { name: 'cache-a', resourceVersion: '99999999' } },
      })
      break
    case 'no version':
      stream.sendLine({ type: 'DELETED', object: { metadata: { name: 'cache-a' } } })
      break
    case 'over-long line':
      stream.send(`{"type":"ADDED","object":"${'x'.repeat(30_000)}"}\n`)
      break
    case 'expired':
      stream.sendLine({
        type: 'ERROR',
        object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' },
      })
      stream.end()
      break
    case 'error':
      stream.sendLine({ type: 'ERROR', object: { kind: 'Status', code: 500, reason: 'InternalError' } })
      stream.end()
      break
    default:
      assertNever(kind)
  }
}
