import * as fc from 'fast-check'
import { get, request } from './raw-client.ts'

const seeds = [
  get('/v1/owner?key=a'),
  get('/v1/owners?key=caf%C3%A9&n=3'),
  get('/v1/plan?leave=127.0.0.1:8000&join=a=2'),
  get('/hashring/nodes/get?key=%FF'),
  get('/v1/ring', { 'If-None-Match': '"a"' }),
  request('POST', '/v1/owners', { 'Content-Type': 'application/json' }, '{"keys":["a","b"],"n":2}'),
  request(
    'POST',
    '/hashring/nodes/get',
    { 'Content-Type': 'multipart/form-data; boundary=B' },
    '--B\r\nContent-Disposition: form-data; name="key"\r\n\r\na\r\n--B--\r\n',
  ),
  request(
    'POST',
    '/hashring/nodes/get',
    { 'Content-Type': 'application/x-www-form-urlencoded' },
    'key=a%20b',
  ),
]

/** A request with some of its bytes replaced, left out or repeated. */
export const mutatedRequest = fc
  .tuple(
    fc.constantFrom(...seeds),
    fc.array(fc.tuple(fc.nat(), fc.nat(3), fc.uint8Array({ minLength: 1, maxLength: 8 })), { maxLength: 6 }),
  )
  .map(([seed, changes]) =>
    changes.reduce((text, [at, kind, bytes]) => {
      const place = at % (text.length + 1)
      const insert = Buffer.from(bytes).toString('latin1')
      const cut = kind === 0 ? 0 : bytes.length
      return text.slice(0, place) + (kind === 1 ? '' : insert) + text.slice(place + cut)
    }, seed),
  )
