import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { GOSSIP, ringman, serve, STATIC, type TestProcess } from '../support/child-process.ts'
import { freePort } from '../support/free-port.ts'
import { listening } from '../support/listening.ts'
import { runMain } from '../support/recording-terminal.ts'

function swim(name: string, servicePort: number, ...more: string[]): TestProcess {
  return serve([...GOSSIP, '--name', name, '--service-port', String(servicePort), ...more])
}

/** What a URL answers with, 0 while nobody listens. */
function statusOf(url: string): Promise<number> {
  return fetch(url).then(
    ({ status }) => status,
    () => 0,
  )
}

const ringOf = (size: number) => (fields: Record<string, unknown>) => fields['nodes'] === size

test('files that cannot be used are told with everything else that is wrong, before anything starts', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ringman-files-'))
  try {
    const at = (name: string, content?: string) => {
      if (content !== undefined) writeFileSync(join(folder, name), content)
      return join(folder, name)
    }
    const files = [
      '--keyring-file',
      at('keyring'),
      '--label-file',
      at('labels', '"prod"'),
      '--token-file',
      folder,
      '--http-port',
      'eighty',
    ]
    const all = await runMain(['serve', ...files])
    expect(all).toMatchObject({ code: 2, out: '' })
    const where = folder.replaceAll('/', '\\/')
    expect(all.err.split('\n')).toEqual([
      'ringman: bad configuration, 4 problems:',
      `  flag --label-file "${folder}/labels": it must be a JSON array of texts, such as ["prod/new", "prod/old"]`,
      `  flag --keyring-file "${folder}/keyring": there is no such file`,
      `  flag --token-file "${folder}": it is no plain file`,
      expect.stringMatching(/^ {2}flag --http-port "eighty": allowed: /) as string,
      '',
    ])
    expect(
      await runMain(['serve', '--keyring-file', at('wrong', 'nonsense'), '--token-file', at('empty', '\n')]),
    ).toEqual({
      code: 2,
      out: '',
      err: expect.stringMatching(
        new RegExp(
          `^ringman: bad configuration, 2 problems:\\n  flag --keyring-file "${where}\\/wrong": line 1 is not a key: .* is allowed\\n  flag --token-file "${where}\\/empty": it is empty\\n$`,
        ),
      ) as string,
    })
    // What the settings are can be seen elsewhere than where the files are; and those of another source are not read.
    expect(await runMain(['serve', '--keyring-file', at('keyring'), '--print-config'])).toMatchObject({
      code: 0,
    })
    const other = await runMain(['serve', '--source', 'swim', '--keyring-file', at('keyring')])
    expect(other.err).toMatch(/^ringman: bad configuration: .*only for the source memberlist/)
    expect(await runMain(['dev', '--token-file', at('keyring')])).toMatchObject({
      code: 2,
      err: `ringman: the token file ${folder}/keyring cannot be used: there is no such file\n`,
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
})

describe('serve', () => {
  test('says where it listens, answers, and ends with 0 on SIGTERM', async () => {
    await using member = serve(STATIC)
    const { http, admin } = await member.ready()
    expect((await fetch(`${http.url}/v1/owner?key=k`)).status).toBe(200)
    expect((await fetch(`${http.url}/hashring/nodes/get?key=k`)).status).toBe(200)
    expect((await fetch(`${admin.url}/livez`)).status).toBe(200)
    expect((await fetch(`${admin.url}/readyz`)).status).toBe(200)
    member.signal('SIGTERM')
    expect(await member.ended).toEqual({ code: 0, signal: null })
    expect(member.err).toBe('')
    expect(member.events).toHaveLength(member.outLines.length)
    expect(member.events.map(({ event }) => event).filter((event) => event === 'process.lingered')).toEqual(
      [],
    )
  })

  test('loads neither TLS nor the fetch of Node.js, nor tables of languages and time zones', async () => {
    // At the end a process of Node.js knows what it has loaded of it. What V8 has loaded of ICU is not known.
    const tell = `
      const told = (use) => (process._rawDebug(use), use)
      const { toISOString } = Date.prototype
      Date.prototype.toISOString = function () { return told('time zones') && toISOString.call(this) }
      Intl.Collator = class extends Intl.Collator { constructor(...of) { told('languages'); super(...of) } }
      process.on('exit', () => process._rawDebug(process.moduleLoadList.join('\\n')))`
    const env = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(tell)}` }
    await using member = serve(GOSSIP, { env })
    const { http } = await member.ready()
    expect((await fetch(`${http.url}/v1/owner?key=k`)).status).toBe(200)
    member.signal('SIGTERM')
    await member.ended
    expect(member.errLines).toContain('NativeModule http')
    expect(member.errLines).not.toContain('NativeModule tls')
    expect(member.errLines).not.toContain('NativeModule internal/deps/undici/undici')
    expect(member.errLines).not.toContain('languages')
    expect(member.errLines).not.toContain('time zones')
  })

  test('leaves the ring and goes on answering for the drain time; no look-up fails', async () => {
    await using stays = swim('stays', 8001)
    const { gossip } = await stays.ready()
    await using goes = swim(
      'goes',
      8002,
      '--seeds',
      `127.0.0.1:${gossip.port}`,
      '--drain',
      '4s',
      '--min-members',
      '2',
    )
    const { http, admin } = await goes.ready()
    await stays.event('ring.changed', ringOf(2))

    const running = new AbortController()
    const failures: unknown[] = []
    let answered = 0
    const asking = (async () => {
      while (!running.signal.aborted) {
        const response = await fetch(`${http.url}/v1/owner?key=${answered}`)
        if (response.status !== 200) failures.push(await response.text())
        answered++
      }
    })()
    goes.signal('SIGTERM')
    await goes.event('ring.left')
    // By its farewell, not by its silence.
    const change = await stays.event('ring.changed', (fields) => String(fields['removed']).includes(':8002'))
    expect(change['causes']).toEqual({ left: 1 })
    const readiness = await fetch(`${admin.url}/readyz`)
    expect(readiness.status).toBe(503)
    const answeredBefore = answered
    const { owner } = (await (await fetch(`${http.url}/v1/owner?key=k`)).json()) as {
      owner: { name: string }
    }
    expect(owner.name).toBe('stays')
    running.abort()
    await asking
    expect(answered).toBeGreaterThan(answeredBefore)
    expect(failures).toEqual([])
    expect(await goes.ended).toEqual({ code: 0, signal: null })
    const [leftAt, finishedAt] = ['ring.left', 'shutdown.finished'].map((name) =>
      Date.parse(String(goes.events.find(({ event }) => event === name)?.['time'])),
    )
    expect((finishedAt ?? 0) - (leftAt ?? 0)).toBeGreaterThanOrEqual(3999)
  })

  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
    ['SIGQUIT', 131],
  ] as const)('a second signal, %s, ends it at once', async (signal, code) => {
    await using member = serve([...STATIC, '--drain', '1h'])
    await member.ready()
    // The same signal at once would be the same request.
    member.signal(signal === 'SIGINT' ? 'SIGTERM' : 'SIGINT')
    await member.event('ring.left')
    member.signal(signal)
    expect(await member.ended).toEqual({ code, signal: null })
  })

  test.each(['SIGHUP', 'SIGQUIT'] as const)(
    '%s makes it leave; SIGUSR1 opens no debugger',
    async (signal) => {
      await using member = serve(STATIC)
      await member.ready()
      member.signal('SIGUSR1')
      await member.event('signal.ignored')
      member.signal(signal)
      expect(await member.ended).toEqual({ code: 0, signal: null })
      expect(member.events.map(({ event }) => event)).toContain('ring.left')
      expect(member.err).toBe('')
    },
  )

  test('a signal while it starts ends it in order, and a second one at once', async () => {
    const port = await freePort()
    // The port of this source answers at once, and the start then waits for the ring.
    const source = ['--source', 'sidecar', '--sidecar-service', 's', '--sidecar-service-port', '1']
    await using first = serve([...source, '--http-port', String(port), '--fold-window', '10s'])
    await expect.poll(() => statusOf(`http://127.0.0.1:${port}/v1/owner?key=k`)).toBe(503)
    first.signal('SIGTERM')
    await first.event('shutdown.started')
    first.signal('SIGINT')
    expect(await first.ended).toEqual({ code: 130, signal: null })
  })

  test('a full disk takes its lines and nothing else', async () => {
    const port = await freePort()
    const disk = openSync('/dev/full', 'w')
    await using member = serve([...STATIC, '--http-port', String(port)], { stdout: disk })
    closeSync(disk)
    await expect.poll(() => statusOf(`http://127.0.0.1:${port}/v1/owner?key=k`)).toBe(200)
    member.signal('SIGTERM')
    expect(await member.ended).toEqual({ code: 0, signal: null })
    expect(member.err).toBe('')
  })

  test('the last member, once it has left, has no answers; commands say so with 4', async () => {
    await using member = swim('only', 8001, '--drain', '1h')
    const { http } = await member.ready()
    member.signal('SIGTERM')
    await member.event('ring.left')
    for (const args of [['get', 'k'], ['ring']]) {
      const { code, err } = await runMain(args, { RINGMAN_URL: http.url })
      expect(code).toBe(4)
      expect(err).toMatch(/^ringman: .*\n$/)
    }
  })

  test('a port in use ends it with 1 and one clear line', async () => {
    const { port } = await listening(createServer())
    for (const flag of ['--http-port', '--admin-port']) {
      await using member = serve([...STATIC, flag, String(port)])
      expect(await member.ended).toEqual({ code: 1, signal: null })
      const fatal = member.events.filter(({ level }) => level === 'fatal')
      expect(fatal).toHaveLength(1)
      expect(JSON.stringify(fatal[0])).toContain(String(port))
      expect(JSON.stringify(fatal[0])).not.toContain('stack')
      expect(member.events.map(({ event }) => event)).not.toContain('ready')
    }
  })

  test('the end of its parent ends it, in order', async () => {
    await using member = serve(STATIC, { ipc: true })
    await member.ready()
    member.child.disconnect()
    expect(await member.ended).toEqual({ code: 0, signal: null })
    expect(member.events.map(({ event }) => event)).toContain('shutdown.finished')
  })

  test('a fault that nobody caught ends it with the reason', async () => {
    for (const fault of ['throw new Error("fault-7")', 'void Promise.reject(new Error("fault-7"))']) {
      const preload = encodeURIComponent(`process.once('SIGUSR2', () => { ${fault} })`)
      const env = { NODE_OPTIONS: `--import=data:text/javascript,${preload}` }
      await using member = serve(STATIC, { env })
      await member.ready()
      member.signal('SIGUSR2')
      expect(await member.ended).toEqual({ code: 1, signal: null })
      const fatal = member.events.find(({ level }) => level === 'fatal')
      expect(JSON.stringify(fatal)).toContain('fault-7')
      expect(member.err).toBe('')
    }
  })

  test('nobody reading its log does not disturb it', async () => {
    await using member = serve([...STATIC, '--log-level', 'trace'])
    const { http } = await member.ready()
    member.child.stdout?.destroy()
    for (let i = 0; i < 200; i++) expect((await fetch(`${http.url}/v1/owner?key=${i}`)).status).toBe(200)
    member.signal('SIGTERM')
    expect(await member.ended).toEqual({ code: 0, signal: null })
  })

  test('bad settings end it with 2 before anything is opened', async () => {
    await using member = ringman(['serve', '--http-port', 'x', '--gosip-port', '1'])
    expect(await member.ended).toEqual({ code: 2, signal: null })
    expect(member.out).toBe('')
    expect(member.errLines).toHaveLength(3)
  })
})
