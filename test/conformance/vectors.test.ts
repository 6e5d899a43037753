import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { makeVectors, VECTORS_FILE, vectorsText, type Vectors } from '../../conformance/make-vectors.ts'
import type { Asked } from '../../conformance/scripted-server.ts'

test('the vectors are what the ring answers today', () => {
  const text = readFileSync(VECTORS_FILE, 'utf8')
  expect(text === vectorsText(makeVectors()), 'run: node conformance/make-vectors.ts').toBe(true)
  const { rings, keys } = JSON.parse(text) as Vectors
  const [first, second] = rings
    .find(({ name }) => name.includes('share'))!
    .owners3.at(keys.findIndex((key) => 'text' in key && key.text.startsWith('shared-')))!
  // The lower ring key has the point that both have.
  expect([first, second]).toEqual([0, 1])
})

test('the scripted server does what lines of JSON say', async () => {
  const file = new URL('../../conformance/scripted-server.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [file], { stdio: ['pipe', 'pipe', 'inherit'] })
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const tell = async <T>(command?: unknown): Promise<T> => {
      if (command !== undefined) child.stdin.write(`${JSON.stringify(command)}\n`)
      return JSON.parse(String((await lines.next()).value)) as T
    }
    const { url } = await tell<{ url: string }>()
    expect(await tell({ show: [{ ringKey: 'a', weight: 1 }] })).toEqual({ watches: 0 })
    const response = await fetch(`${url}/v1/ring/watch`)
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    let received = ''
    const has = async (text: string) => {
      while (!received.includes(text)) received += (await reader.read()).value ?? expect.fail('it ended')
    }
    await has('"ringKey":"a"')
    await tell({ show: [{ ringKey: 'b', weight: 1 }], digest: '0123456789abcdef' })
    await has('"digest":"0123456789abcdef"')
    await tell({ sendSlowly: { text: 'slow\n', pieceBytes: 2, pauseMs: 1 } })
    await has('slow\n')
    // One after the other: a heartbeat goes out between any two pieces.
    await tell({ heartbeatMs: 5 })
    await has(': heartbeat')
    const { asked } = await tell<{ asked: Asked[] }>({ asked: true })
    expect(asked.map(({ path }) => path)).toEqual(['/v1/ring/watch'])
    await tell({ heartbeatMs: 0, ring: '503' })
    expect((await fetch(`${url}/v1/ring`)).status).toBe(503)
    await tell({ reset: true })
    await expect(
      (async () => {
        for (;;) if ((await reader.read()).done) return
      })(),
    ).rejects.toThrow()
    expect(await tell({ send: 1 })).toEqual({ watches: 0 })
  } finally {
    child.kill()
    await once(child, 'exit')
  }
})
