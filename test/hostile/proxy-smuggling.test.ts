import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { closed, dial, exchange, get, request } from '../http/raw-client.ts'
import { TestProcess } from '../support/child-process.ts'

const cafe = 'caf\u00c3\u00a9'
const ROUNDS = 40

/** A proxy with connections to the member that its clients share. */
interface Proxy {
  readonly command: string
  readonly args: (folder: string) => readonly string[]
  readonly config: (port: number, memberPort: number, folder: string) => string
}

const PROXIES: Readonly<Record<string, Proxy>> = {
  nginx: {
    command: 'nginx',
    args: (folder) => ['-p', folder, '-c', join(folder, 'config'), '-e', 'stderr'],
    config: (port, memberPort, folder) => `
daemon off; master_process off; pid ${folder}/pid; error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  upstream member { server 127.0.0.1:${memberPort}; keepalive 1; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://member; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off; }
  }
}
`,
  },
  haproxy: {
    command: 'haproxy',
    args: (folder) => ['-db', '-f', join(folder, 'config')],
    config: (port, memberPort) => `
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
  http-reuse always
listen member
  bind 127.0.0.1:${port}
  option accept-invalid-http-request
  server one 127.0.0.1:${memberPort}
`,
  },
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Requests whose bodies look like requests, as an attacker would send them. */
function attacks(): string[] {
  const inner = get(`/hashring/nodes/get?key=SMUGGLED-${cafe}`)
  const chunk = `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`
  const chunked = { 'Transfer-Encoding': 'chunked' }
  return [
    request('POST', '/nothing', {}, inner),
    request('DELETE', '/v1/owner?key=a', {}, inner),
    request('GET', '/hashring/nodes/get?key=a', {}, inner),
    request('GET', `/hashring/nodes/get?key=${cafe}`, {}, inner),
    request('POST', '/nothing', chunked) + chunk,
    request('POST', `/hashring/nodes/get?x=${cafe}`, chunked) + chunk,
    get(`/hashring/nodes/get?key=${cafe}`),
  ]
}

/** Sends bytes, a body in a piece of its own, and gives what comes within a moment. */
async function speak(port: number, bytes: string): Promise<string> {
  const socket = await dial(port)
  let received = ''
  socket.on('data', (part: string) => {
    received += part
  })
  const headEnd = bytes.indexOf('\r\n\r\n') + 4
  socket.write(Buffer.from(bytes.slice(0, headEnd), 'latin1'))
  await new Promise((resolve) => setTimeout(resolve, 15))
  if (headEnd < bytes.length) socket.write(Buffer.from(bytes.slice(headEnd), 'latin1'))
  await new Promise((resolve) => setTimeout(resolve, 30))
  socket.destroy()
  await closed(socket)
  return received
}

test.each(Object.entries(PROXIES))(
  'behind a real %s nobody gets an answer to a request that was hidden in a body',
  async (_, { command, args, config }) => {
    await using member = new TestProcess([
      ...['src/cli.ts', 'serve', '--source', 'static', '--static-members', '10.0.0.1:80,10.0.0.2:80'],
      ...['--http-host', '127.0.0.1', '--http-port', '0', '--admin-port', '0', '--log-format', 'json'],
    ])
    const { http } = (await member.event('ready')) as unknown as { http: { port: number } }
    const port = await freePort()
    const folder = mkdtempSync(join(tmpdir(), 'ringman-proxy-'))
    writeFileSync(join(folder, 'config'), config(port, http.port, folder))
    let child: ChildProcess | undefined
    let failure = ''
    try {
      child = spawn(command, args(folder), { stdio: ['ignore', 'ignore', 'pipe'] })
      child.on('error', () => {
        failure = `${command} cannot be run; apt-get install ${command} brings it`
      })
      child.stderr?.on('data', (part: Buffer) => {
        failure += part.toString()
      })
      await vi.waitFor(
        async () => {
          expect((await exchange(port, get('/v1/owner?key=a'))).status, failure).toBe(200)
        },
        { timeout: 5000, interval: 100 },
      )
      for (let round = 0; round < ROUNDS; round++) {
        const attack = attacks()[round % attacks().length] ?? ''
        const [answers, victim] = await Promise.all([
          speak(port, attack),
          exchange(port, get(`/hashring/nodes/get?key=victim-${round}`)),
        ])
        const next = await exchange(port, get(`/hashring/nodes/get?key=next-${round}`))
        expect(answers).not.toContain('SMUGGLED')
        expect(victim.body).toContain(`"Key": "victim-${round}"`)
        expect(next.body).toContain(`"Key": "next-${round}"`)
      }
    } finally {
      child?.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    }
  },
)
