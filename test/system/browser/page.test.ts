import { createServer, request as askServer, type Server } from 'node:http'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { askDigest } from '../../../src/client/agreement.ts'
import { healthIn } from '../../../src/membership/condition.ts'
import type { Member } from '../../../src/membership/member.ts'
import { createPage } from '../../../src/page/page.ts'
import { serveRing, THREE_MEMBERS, type ServedRing } from '../../http/running-ring.ts'
import { fakeMember } from '../../support/fake-source.ts'
import { GOSSIP, ringman, serve, type TestProcess } from '../../support/child-process.ts'
import { findBarriers, openBrowser, openPage } from './browser.ts'

let browser: Browser
beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(async () => {
  await browser?.close()
})

const app = { page: createPage, askDigest }

function urlOf({ server }: ServedRing): string {
  return `${server.url}/`
}

function manyMembers(count: number): Member[] {
  return Array.from({ length: count }, (_, i) =>
    fakeMember(`pod-${i}`, `10.0.${i >> 8}.${i & 255}`, { zone: `z${i % 3}` }),
  )
}

describe('The page before a live cluster', () => {
  let dev: TestProcess
  let members: {
    readonly name: string
    readonly url: string
    readonly pid: number
    readonly gossip: string
  }[]
  beforeAll(async () => {
    dev = ringman(['dev', '--nodes', '4', '--json'])
    const started = await dev.until(
      'the cluster',
      () => dev.events.find(({ event }) => event === 'cluster.started'),
      60_000,
    )
    members = started['members'] as typeof members
  }, 90_000)
  afterAll(async () => {
    await dev?.[Symbol.asyncDispose]()
  })

  test('shows members that come, are killed and are frozen, and whether the others agree', async () => {
    const [first, second, , last] = members
    await using watched = await openPage(browser, `${first!.url}/`)
    const { page } = watched
    const row = (name: string) => page.locator(`#members tr[data-key="${name}"]`)
    await page.locator('#live.live:not(.still)').waitFor()
    await page.locator('.facts', { hasText: '3 of 3' }).waitFor()
    expect(await page.locator('#notices').innerText()).toContain('All is well.')
    expect(await page.locator('#nodes tbody tr').count()).toBe(4)

    const flags = [...GOSSIP, '--name', 'newcomer', '--service-port', '9001', '--seeds', first!.gossip]
    await using _come = serve(flags)
    await row('newcomer').locator('.state.alive').waitFor()
    await page.locator('#changes li', { hasText: 'newcomer' }).waitFor()
    await page.locator('#circle .count', { hasText: '5' }).waitFor()

    process.kill(last!.pid, 'SIGKILL')
    await row(last!.name).locator('.state.dead').waitFor()
    expect(await row(last!.name).locator('.why').innerText()).toContain('it did not answer')
    await page.locator('#notices .warning', { hasText: last!.name }).waitFor()
    await page.locator('#changes .cause.dead').waitFor()

    process.kill(second!.pid, 'SIGSTOP')
    try {
      await page.locator('#notices', { hasText: `: ${second!.name}` }).waitFor()
    } finally {
      process.kill(second!.pid, 'SIGCONT')
    }
    await row(second!.name).locator('.state.alive').waitFor()
  })

  test('finds the owner of a key, as the member itself does', async () => {
    const { url } = members[0]!
    await using watched = await openPage(browser, `${url}/`)
    const { page } = watched
    await page.locator('#live.live:not(.still)').waitFor()
    await page.getByLabel('Where does a key land?').fill('user:42')
    await page.keyboard.press('Enter')
    await page.locator('.owners li').first().waitFor()
    const { owners } = (await (await fetch(`${url}/v1/owners?key=user:42&n=3`)).json()) as {
      owners: { ringKey: string }[]
    }
    const found = await page.locator('.owners li').all()
    const shown = await Promise.all(found.map((item) => item.getAttribute('data-node')))
    expect(shown).toEqual(owners.map(({ ringKey }) => ringKey))
    expect(page.url()).toContain('key=user')
    // The pin points into an arc of the owner.
    expect(await page.locator('#circle .arc.first').getAttribute('data-node')).toBe(shown[0])
    expect(await page.locator('#circle .pin').count()).toBeGreaterThan(0)
  })

  test('says what would move', async () => {
    const { url } = members[0]!
    await using watched = await openPage(browser, `${url}/plan`)
    const { page } = watched
    await page.locator('#live.live:not(.still)').waitFor()
    const box = page.locator('#leavers input').first()
    const ringKey = (await box.getAttribute('value')) ?? ''
    await box.check()
    await page.getByLabel('These join').fill('10.0.0.9:8000=2, 10.0.0.10:8000')
    await page.getByRole('button', { name: 'What would move?' }).click()
    const query = `leave=${ringKey}&join=10.0.0.9:8000=2,10.0.0.10:8000`
    const { movedShare } = (await (await fetch(`${url}/v1/plan?${query}`)).json()) as { movedShare: number }
    await page.locator('#planned', { hasText: `${(movedShare * 100).toFixed(1)} %` }).waitFor()
    // The address of the page leads to the same plan.
    await page.reload()
    await page.locator('#live.live:not(.still)').waitFor()
    await page.locator('#planned', { hasText: '10.0.0.10:8000' }).waitFor()
    await page.getByLabel('These join').fill(ringKey)
    await page.getByRole('button', { name: 'What would move?' }).click()
    await page.locator('#planned .problem').waitFor()
  })
})

test('The page of the admin port acts once the token is entered', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ringman-page-'))
  const tokenFile = join(folder, 'token')
  await writeFile(tokenFile, 'a-token-of-operators\n')
  const start = (name: string, servicePort: number, ...more: string[]) =>
    serve([
      ...GOSSIP,
      '--name',
      name,
      '--service-port',
      String(servicePort),
      '--token-file',
      tokenFile,
      ...more,
    ])
  await using first = start('first', 9101)
  const { admin, gossip } = await first.ready()
  await using second = start('second', 9102, '--seeds', `127.0.0.1:${gossip.port}`)
  await second.ready()

  await using watched = await openPage(browser, `${admin.url}/members`)
  const { page } = watched
  await page.locator('#members tr[data-key="second"] .state.alive').waitFor()
  expect(await page.locator('button[data-action]').count()).toBe(0)
  await page.getByLabel('Operator token').fill('a-wrong-token')
  await page.getByRole('button', { name: 'Allow actions' }).click()
  await page.locator('#operator .problem').waitFor()
  await page.getByLabel('Operator token').fill('a-token-of-operators')
  await page.getByRole('button', { name: 'Allow actions' }).click()
  await page.getByRole('button', { name: 'drain' }).click()
  const dialog = page.locator('dialog')
  await dialog.locator('strong', { hasText: '%' }).waitFor()
  await dialog.getByLabel('Why, for the log').fill('a test of the page')
  await dialog.getByRole('button', { name: 'Do it' }).click()
  await page.locator('#operator .done').waitFor()
  await page.locator('#members tr.off[data-key="first"]').waitFor()
  await page.getByRole('button', { name: 'return' }).click()
  await dialog.getByRole('button', { name: 'Do it' }).click()
  await page.locator('#members tr.on[data-key="first"]').waitFor()
  // The token is kept nowhere.
  expect(
    await page.evaluate('JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])'),
  ).toBe('[{},{},""]')
  expect(page.url()).not.toContain('token')
  await rm(folder, { recursive: true })
})

describe('The page', () => {
  test.each([
    ['light', 'light' as const, 1280],
    ['dark', 'dark' as const, 1280],
    ['on a phone', 'light' as const, 390],
  ])('has no barriers: %s', async (_, colorScheme, width) => {
    await using served = await serveRing({
      members: [
        ...THREE_MEMBERS,
        { ...fakeMember('gone', '127.0.0.7'), state: 'dead', stateSinceMs: Date.now() },
        { ...fakeMember('slow', '127.0.0.8'), state: 'suspect' },
        { ...fakeMember('left', '127.0.0.9'), state: 'left' },
      ],
      app,
    })
    served.source.healthNow = healthIn('contested', 'Two processes answer under one name')
    for (const path of ['?key=user:42', 'ring', 'members', 'changes', 'plan']) {
      await using watched = await openPage(browser, urlOf(served) + path, {
        colorScheme,
        bypassCSP: true,
        viewport: { width, height: 800 },
      })
      await watched.page.locator('#live.live:not(.still)').waitFor()
      expect(await findBarriers(watched.page)).toEqual([])
      // Nothing is wider than the screen.
      expect(await watched.page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
    }
  })

  test('keeps hostile names as text, at first and when they come later', async () => {
    const hostile = `<img src=x onerror="window.broken=1"><script>window.broken=1</script>'"&`
    await using served = await serveRing({ ringKeyMode: 'name', app })
    await using watched = await openPage(browser, `${urlOf(served)}?key=user:42`)
    const { page } = watched
    await page.locator('#live.live:not(.still)').waitFor()
    served.source.set([...THREE_MEMBERS, fakeMember(hostile, '127.0.0.9', { zone: hostile })])
    const row = page.locator('#members tr', { hasText: '<img src=x' })
    await row.waitFor()
    await page.locator('#changes', { hasText: '<script>' }).waitFor()
    await page.getByLabel('Where does a key land?').fill(hostile)
    await page.keyboard.press('Enter')
    await page.locator('.owners').waitFor()
    for (const path of ['members', 'ring', 'plan', 'changes']) {
      await page.goto(urlOf(served) + path)
      await page.locator('#live.live:not(.still)').waitFor()
    }
    expect(await page.evaluate(() => 'broken' in globalThis)).toBe(false)
    expect(await page.locator('main img').count()).toBe(0)
  })

  test('shows everything without JavaScript, and finds owners and members by its forms', async () => {
    await using served = await serveRing({ app })
    await using watched = await openPage(browser, urlOf(served), { javaScriptEnabled: false })
    const { page } = watched
    expect(await page.locator('#members tbody tr').count()).toBe(3)
    expect(await page.locator('#circle .arc').count()).toBe(3)
    await page.locator('#key').fill('user:42')
    await page.locator('.look-up button').click()
    await page.locator('.owners li').first().waitFor()
    await page.getByRole('link', { name: 'Members' }).first().click()
    await page.locator('#filter').fill('node3')
    await page.keyboard.press('Enter')
    await page.waitForURL(/filter=node3/)
    expect(await page.locator('#members tbody tr').count()).toBe(1)
    await page.getByRole('link', { name: 'What if' }).click()
    await page.locator('#leavers input').first().check()
    await page.getByRole('button', { name: 'What would move?' }).click()
    await page.locator('#planned .headline').waitFor()
  })

  test('goes on with the last state when the member is gone, says so, and comes back', async () => {
    await using served = await serveRing({ app })
    await using relay = await relayTo(served.server.port)
    await using watched = await openPage(browser, `http://127.0.0.1:${relay.port}/some/prefix/`)
    const { page } = watched
    await page.locator('#live.live:not(.still)').waitFor()
    await page.locator('.facts', { hasText: '3 alive' }).waitFor()
    relay.cut()
    await page.locator('#live.lost', { hasText: 'this is the state of' }).waitFor()
    expect(await page.locator('#members tbody tr').count()).toBe(3)
    served.source.set(THREE_MEMBERS.slice(1))
    relay.mend()
    await page.locator('#live.live:not(.still, .lost)').waitFor()
    await page.locator('#circle .count', { hasText: '2' }).waitFor()
  })

  test('asks again by itself where it gets no stream', async () => {
    await using served = await serveRing({ app, limits: { maxWatchers: 0 } })
    await using watched = await openPage(browser, urlOf(served))
    const { page } = watched
    await page.locator('#live.polling').waitFor()
    served.source.set(THREE_MEMBERS.slice(1))
    await page.locator('#circle .count', { hasText: '2' }).waitFor()
  })

  test('says who has another ring', async () => {
    const members = [1, 2, 3].map((i) => fakeMember(`node${i}`, '127.0.0.1', { servicePort: `800${i}` }))
    await using other = await serveRing({ members: members.slice(1) })
    const { port: httpPort } = other.server
    const withPort = members.map((member) =>
      member.name === 'node1' ? member : { ...member, metadata: { ...member.metadata!, httpPort } },
    )
    await using served = await serveRing({ members: withPort, selfName: 'node1', app })
    await using watched = await openPage(browser, urlOf(served))
    await watched.page.locator('#notices .critical', { hasText: '2 members have another ring' }).waitFor()
    expect(await watched.page.locator('#agreement .verdict.differs').count()).toBe(2)
  })

  test('works by keyboard', async () => {
    await using served = await serveRing({ app })
    await using watched = await openPage(browser, urlOf(served))
    const { page } = watched
    await page.locator('#live.live:not(.still)').waitFor()
    await page.keyboard.press('Tab')
    expect(await page.evaluate('document.activeElement.className')).toBe('skip')
    const labels: string[] = []
    for (let i = 0; i < 12; i++) {
      await page.keyboard.press('Tab')
      labels.push(await page.evaluate('document.activeElement.textContent.trim()'))
    }
    expect(labels).toEqual(
      expect.arrayContaining(['Overview', 'Ring', 'Members', 'Changes', 'What if', 'Find']),
    )
    // What comes in does not take the focus away.
    await page.locator('#key').focus()
    await page.keyboard.type('user')
    served.source.set(THREE_MEMBERS.slice(1))
    await page.locator('#circle .count', { hasText: '2' }).waitFor()
    await page.keyboard.type(':42')
    expect(await page.locator('#key').inputValue()).toBe('user:42')
  })

  test('is small, and is readable with 1,000 members', async () => {
    await using small = await serveRing({ app })
    await using first = await openPage(browser, urlOf(small))
    await first.page.locator('#live.live:not(.still)').waitFor()
    console.log(
      `script, style, icon and document of 3 members in a checkout, with comments: ${first.bytes()} bytes`,
    )

    await using served = await serveRing({ members: manyMembers(1000), app })
    await using watched = await openPage(browser, `${urlOf(served)}members`)
    const { page } = watched
    await page.locator('#live.live:not(.still)').waitFor()
    expect(await page.locator('#members tbody tr').count()).toBe(1000)
    await page.locator('#filter').fill('pod-77')
    await page.locator('caption', { hasText: '11 of 1000 members' }).waitFor()
    await page.goto(urlOf(served))
    await page.locator('#circle .count', { hasText: '1000' }).waitFor()
    expect(await page.locator('#nodes tbody tr').count()).toBe(12)
    served.source.set(manyMembers(999))
    await page.locator('#circle .count', { hasText: '999' }).waitFor()
  })
})

/** A proxy that serves a server below `/some/prefix/`, and can cut its connections and refuse others. */
async function relayTo(port: number): Promise<AsyncDisposable & { port: number; cut(): void; mend(): void }> {
  let isCut = false
  const server: Server = createServer((req, res) => {
    const path = (req.url ?? '').replace(/^\/some\/prefix\//, '/')
    const asked = askServer({ port, host: '127.0.0.1', path, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(res)
    })
    asked.on('error', () => res.destroy())
    res.on('close', () => asked.destroy())
    asked.end()
  })
  server.on('connection', (socket) => {
    if (isCut) socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      isCut = true
      server.closeAllConnections()
    },
    mend() {
      isCut = false
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
