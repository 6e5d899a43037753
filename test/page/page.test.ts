import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join } from 'node:path/posix'
import { describe, expect, test } from 'vitest'
import { createPage } from '../../src/page/page.ts'
import { minifySync } from 'rolldown/utils'
import { FILE_NAMES, readPageFile } from '../../src/page/files.ts'
import type { PageData } from '../../src/page/view/data.ts'
import { agreementList } from '../../src/page/view/sections.ts'
import { fakeMember } from '../support/fake-source.ts'
import { exchange, get, request } from '../http/raw-client.ts'
import { serveRing, THREE_MEMBERS, type RingOptions } from '../http/running-ring.ts'

/** What browsers send. */
const BROWSER = { Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' }

function servePage(options: RingOptions = {}) {
  return serveRing({ ...options, app: { page: createPage } })
}

describe('The page', () => {
  test.each(['/', '/ring', '/members', '/changes', '/plan'])('stands at %s for browsers', async (path) => {
    await using served = await servePage()
    const answer = await exchange(served.server.port, get(path, BROWSER))
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    const policy = answer.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toContain('unsafe')
    expect(answer.body).toMatch(/^<!doctype html>/)
    // Nothing in it is code or style, and no address begins at the root or at another host.
    expect(answer.body).not.toMatch(
      /<style|\sstyle=|\son[a-z]+=|<script(?![^>]*src=)|(href|src|action)="(\/|http)/,
    )
  })

  test.each([
    ['curl', { Accept: '*/*' }],
    ['who says nothing', {}],
    ['who prefers JSON', { Accept: 'application/json, text/html;q=0.5' }],
  ])('is not there for %s', async (_, headers) => {
    await using served = await servePage()
    await using without = await serveRing()
    for (const path of ['/', '/members', '/rings']) {
      const answer = await exchange(served.server.port, get(path, headers))
      expect(answer.status).toBe(404)
      expect(answer.body).toBe((await exchange(without.server.port, get(path, headers))).body)
    }
  })

  test('is not there when it is turned off, nor are its files, nor for other methods', async () => {
    await using without = await serveRing()
    for (const path of ['/', '/assets/page/page.css']) {
      expect((await exchange(without.server.port, get(path, BROWSER))).status).toBe(404)
    }
    await using served = await servePage()
    const posted = await exchange(served.server.port, request('POST', '/', BROWSER))
    expect(posted.status).toBe(404)
  })

  test('shows what members say as text, whatever it is', async () => {
    const hostile = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>&amp;`
    await using served = await servePage({
      members: [
        ...THREE_MEMBERS,
        fakeMember(hostile, '127.0.0.9', { zone: hostile }),
        fakeMember(`${hostile}2`, '</td><b>', { zone: hostile }),
      ],
      ringKeyMode: 'name',
    })
    for (const path of [
      '/',
      '/ring',
      '/members',
      '/changes',
      '/plan',
      `/?key=${encodeURIComponent(hostile)}`,
    ]) {
      const { body } = await exchange(served.server.port, get(path, BROWSER))
      expect(body).toContain('&lt;script&gt;')
      expect(body).not.toMatch(/<script>|<img src=x|<b>/)
    }
  })

  test('shows where a key lands, without a script', async () => {
    await using served = await servePage()
    const owners = served.ring.manager.getNodes('user:42', 3).map(({ ringKey }) => ringKey)
    const { body } = await exchange(served.server.port, get('/?key=user%3A42', BROWSER))
    const found = body.slice(body.indexOf('id="found"'), body.indexOf('id="nodes"'))
    expect([...found.matchAll(/data-node="([^"]*)"/g)].map(([, ringKey]) => ringKey)).toEqual(owners)
    const empty = await exchange(served.server.port, get(`/?key=${'x'.repeat(70_000)}`, BROWSER))
    expect(empty.body).toContain('at most 65536 are allowed')
  })

  test('says what would move, without a script', async () => {
    await using served = await servePage()
    const [first, second] = served.ring.manager.snapshot.ring.nodes.map(({ ringKey }) => ringKey)
    const query = `leave=${first}&join=a%3A1%3D2%2C+b%3A1&weight=${second}%3D3`
    const planned = await exchange(served.server.port, get(`/v1/plan?${query.replace('+', '')}`))
    const { movedShare } = JSON.parse(planned.body) as { movedShare: number }
    const { body } = await exchange(served.server.port, get(`/plan?${query}`, BROWSER))
    expect(body).toContain(`<strong>${(movedShare * 100).toFixed(1)} %</strong> of the keys`)
    const wrong = await exchange(served.server.port, get(`/plan?leave=nobody&join=&weight=`, BROWSER))
    expect(wrong.status).toBe(200)
    expect(wrong.body).toContain('not on the ring, so cannot leave or change weight')
    const none = await exchange(served.server.port, get('/plan?join=&weight=', BROWSER))
    expect(none.body).toContain('<div id="planned" role="status"></div>')
  })

  test('says why a member is not on the ring, and what is wrong first', async () => {
    await using served = await servePage({
      members: [
        ...THREE_MEMBERS,
        { ...fakeMember('gone', '127.0.0.7'), state: 'dead', stateSinceMs: Date.now() },
        { ...fakeMember('slow', '127.0.0.8'), state: 'suspect' },
      ],
    })
    const { body } = await exchange(served.server.port, get('/', BROWSER))
    expect(body).toContain('1 member did not answer lately: slow.')
    expect(body).toContain('1 member died in the last ten minutes: gone.')
    expect(body).toContain('no: it is dead: it did not answer.')
    expect(body.indexOf('id="notices"')).toBeLessThan(body.indexOf('id="content"'))
  })

  test('shows an empty ring', async () => {
    await using served = await servePage({ members: [] })
    const { body } = await exchange(served.server.port, get('/', BROWSER))
    expect(body).toContain('The ring is empty: no key has an owner.')
  })

  test('filters the members, without a script', async () => {
    await using served = await servePage()
    const { body } = await exchange(served.server.port, get('/members?filter=NODE2', BROWSER))
    expect([...body.matchAll(/<tr data-key="([^"]*)"/g)].map(([, name]) => name)).toEqual(['node2'])
    expect(body).toContain('1 of 3 members')
  })

  test('refuses a ring that is not there', async () => {
    await using served = await servePage()
    const answer = await exchange(served.server.port, get('/?ring=a/b', BROWSER))
    expect(answer.status).toBe(404)
    expect(answer.body).toContain('RING_NOT_FOUND')
  })

  test('answers HEAD, and a file that a browser has with 304', async () => {
    await using served = await servePage()
    expect((await exchange(served.server.port, request('HEAD', '/', BROWSER))).status).toBe(200)
    const file = await exchange(served.server.port, get('/assets/page/page.css'))
    expect(file.headers.get('content-type')).toBe('text/css; charset=utf-8')
    const etag = file.headers.get('etag') ?? ''
    const again = await exchange(served.server.port, get('/assets/page/page.css', { 'If-None-Match': etag }))
    expect(again.status).toBe(304)
  })
})

test('a checkout serves less than 150 KB to who looks at a small ring', async () => {
  const members = Array.from({ length: 5 }, (_, at) => fakeMember(`node${at}`, `10.0.0.${at}`))
  await using served = await servePage({ members })
  const { body, headers } = await exchange(served.server.port, get('/', BROWSER))
  const named = new Set([...body.matchAll(/ (?:href|src)="(assets\/[^"]+)"/g)].map(([, path = '']) => path))
  expect([...named].sort()).toEqual(FILE_NAMES.map((name) => `assets/${name}`).sort())
  let bytes = Number(headers.get('content-length'))
  for (const path of named) {
    const file = await exchange(served.server.port, get(`/${path}`))
    expect(file.status).toBe(200)
    bytes += Number(file.headers.get('content-length'))
  }
  expect(bytes).toBeGreaterThan(50_000)
  expect(bytes).toBeLessThan(150_000)
})

test.each(FILE_NAMES.filter((name) => name.endsWith('.ts')))(
  'browsers get all of %s but types and comments',
  (name) => {
    const text = readFileSync(join('src', name), 'utf8')
    const served = Buffer.from(readPageFile(name).answer.body, 'latin1').toString()
    const least = (code: string) => minifySync('module.js', code, { compress: false, mangle: false }).code
    expect(least(served)).toBe(least(stripTypeScriptTypes(text)))
    expect(served.split('\n')).toHaveLength(text.split('\n').length)
    expect(served).not.toMatch(/^ *(\/\/|\/\*\*)/m)
  },
)

test('the files of the page are all that its modules import, and no other', () => {
  const reached = new Set<string>()
  const follow = (name: string) => {
    if (reached.has(name)) return
    reached.add(name)
    const source = readFileSync(join('src', name), 'utf8')
    for (const [, path = ''] of source.matchAll(/^(?:import|export) (?!type)[^']*from '([^']+)'/gm)) {
      follow(join(dirname(name), path))
    }
  }
  follow('page/browser/app.ts')
  const served = FILE_NAMES.filter((name) => name.endsWith('.ts'))
  expect([...served].sort()).toEqual([...reached].sort())
})

test('members that were not asked since the ring changed are no disagreement', () => {
  const member = (name: string, verdict: string) => ({ name, url: null, verdict, digest: null, error: null })
  const shown = (...verdicts: string[]) => {
    const members = verdicts.map((verdict, at) => member(`m${at}`, verdict))
    const agreement = { agreed: false, askedAtMs: 1000, members, digest: '', epoch: 1 }
    return agreementList({ agreement, nowMs: 2000 } as unknown as PageData).text
  }
  const waiting = shown('agrees', 'not-yet-asked')
  expect(waiting).toContain('1 of 1 other member has the same')
  expect(waiting).toContain('1 member will be asked in a moment: the ring has just changed.')
  expect(waiting).not.toContain('m1')
  expect(shown('not-yet-asked')).not.toContain('no other member')
  expect(shown('not-asked')).toContain('1 member could not be asked: it does not say where.')
})
