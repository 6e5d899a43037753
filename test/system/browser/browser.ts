import { existsSync, readFileSync } from 'node:fs'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'
import { expect } from 'vitest'

/** Debian's Chromium, or what `CHROMIUM` names. */
const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium'

/** How long a test waits for the page to show something, in milliseconds. */
export const PATIENCE_MS = 60_000

export async function openBrowser(): Promise<Browser> {
  if (!existsSync(CHROMIUM)) {
    throw new Error(`there is no ${CHROMIUM}: apt-get install chromium, or name another one by CHROMIUM`)
  }
  // Root, as in a container, has no sandbox.
  return chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
}

/** A page, with everything about it that must not be. */
export interface WatchedPage extends AsyncDisposable {
  readonly page: Page
  /** Requests to another place than the page's own. */
  readonly foreign: string[]
  /** Errors, and what its policy refused. */
  readonly faults: string[]
  /** Bytes of the document and its files so far. */
  readonly bytes: () => number
}

export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(PATIENCE_MS)
  const { origin } = new URL(url)
  const foreign: string[] = []
  const faults: string[] = []
  let bytes = 0
  page.on('request', (request) => {
    const asked = request.url()
    if (new URL(asked).origin !== origin) foreign.push(asked)
  })
  page.on('response', (response) => {
    if (response.status() === 200 && !response.url().includes('/v1/')) {
      void response.body().then(
        (body) => {
          bytes += body.length
        },
        () => {},
      )
    }
  })
  page.on('pageerror', (error) => faults.push(String(error)))
  page.on('console', (message) => {
    // What the network does is told in another way.
    const isNetwork = message.text().startsWith('Failed to load resource')
    if ((message.type() === 'error' || message.type() === 'warning') && !isNetwork)
      faults.push(message.text())
  })
  await page.goto(url)
  return {
    page,
    foreign,
    faults,
    bytes: () => bytes,
    async [Symbol.asyncDispose]() {
      await context.close()
      expect(foreign).toEqual([])
      expect(faults).toEqual([])
    },
  }
}

/** What axe finds wrong with a page for those who see, point or hear differently; `bypassCSP` lets it in. */
export async function findBarriers(page: Page): Promise<string[]> {
  const axe = readFileSync(new URL(import.meta.resolve('axe-core/axe.min.js')), 'utf8')
  await page.evaluate(axe)
  return page.evaluate(async () => {
    const { axe: found } = globalThis as unknown as {
      axe: {
        run(): Promise<{
          violations: { id: string; help: string; nodes: { html: string; failureSummary: string }[] }[]
        }>
      }
    }
    const { violations } = await found.run()
    return violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${help}\n${html}\n${failureSummary}`),
    )
  })
}
