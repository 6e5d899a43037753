/**
 * `node tools/screenshots.ts`: takes the pictures of the status page for the README and docs/page.md, light and dark, of a
 * local cluster. It needs Debian's `chromium`, or the one that `CHROMIUM` names.
 */
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

const FOLDER = 'docs/images'

const cluster = spawn(process.execPath, ['src/cli.ts', 'dev', '--nodes', '5', '--json'], {
  stdio: ['ignore', 'pipe', 'inherit'],
})
const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-dev-shm-usage'],
})
try {
  let url = ''
  for await (const line of createInterface({ input: cluster.stdout })) {
    const { event, members } = JSON.parse(line) as { event: string; members?: { url: string }[] }
    if (event === 'cluster.started') url = members?.[0]?.url ?? ''
    if (url !== '') break
  }
  mkdirSync(FOLDER, { recursive: true })
  for (const colorScheme of ['light', 'dark'] as const) {
    const page = await browser.newPage({ colorScheme, viewport: { width: 1200, height: 765 } })
    await page.goto(`${url}/?key=user:42`)
    await page.locator('#live.live:not(.still)').waitFor()
    await page.locator('.facts', { hasText: '4 of 4' }).waitFor()
    await page.screenshot({ path: `${FOLDER}/page-${colorScheme}.png` })
    await page.close()
  }
} finally {
  await browser.close()
  cluster.kill()
}
