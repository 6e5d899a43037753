import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { closed, dial, exchange, get, request } from '../../http/raw-client.ts'
import { serve, STATIC } from '../../support/child-process.ts'
import { freePort } from '../../support/free-port.ts'
import { NativeProcess } from '../../support/native-process.ts'
import { proxyProgram, type ProxyName } from '../../support/proxy-programs.ts'

const cafe = 'caf\u00c3\u00a9'
const inner = get(`/hashring/nodes/get?key=SMUGGLED-${cafe}`)
const chunk = `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`

/** A proxy with one connection to the member, which its clients share. */
interface Configuration {
  readonly args: (file: string, folder: string) => readonly string[]
  readonly config: (port: number, memberPort: number, folder: string) => string
}

const PROXIES: Readonly<Record<ProxyName, Configuration>> = {
  nginx: {
    args: (file, folder) => ['-p', folder, '-c', file, '-e', 'stderr'],
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
    args: (file) => ['-db', '-f', file],
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
  envoy: {
    args: (file) => ['-c', file, '--concurrency', '1', '--use-dynamic-base-id', '--log-level', 'warn'],
    config: (port, memberPort) => `
static_resources:
  listeners:
    - address: { socket_address: { address: 127.0.0.1, port_value: ${port} } }
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: front
                http_protocol_options: { allow_chunked_length: true }
                stream_error_on_invalid_http_message: true
                route_config:
                  virtual_hosts:
                    - { name: member, domains: ['*'], routes: [{ match: { prefix: / }, route: { cluster: member } }] }
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: { '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
    - name: member
      type: STATIC
      circuit_breakers: { thresholds: [{ max_connections: 1 }] }
      load_assignment:
        cluster_name: member
        endpoints:
          - lb_endpoints:
              - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${memberPort} } } }
`,
  },
  caddy: {
    args: (file) => ['run', '--config', file, '--adapter', 'caddyfile'],
    config: (port, memberPort) => `
{
	admin off
}
http://:${port} {
	bind 127.0.0.1
	reverse_proxy 127.0.0.1:${memberPort} {
		transport http {
			max_conns_per_host 1
		}
	}
}
`,
  },
}

/** Requests that proxies and servers have read differently: where does this one end? */
const length = String(inner.length)
const TWO_READINGS: readonly string[] = [
  ...[
    { 'Content-Length': '6', 'Transfer-Encoding': 'chunked' },
    { 'Transfer-Encoding': 'chunked', 'Content-Length': '5' },
    { 'Content-Length': length, 'Transfer-Encoding': 'xchunked' },
    { 'Content-Length': length, 'Transfer-Encoding': 'identity, chunked' },
    { 'Content-Length': length, 'Transfer-Encoding': 'chunked, identity' },
    { 'Content-Length': length, 'Transfer-Encoding': '\tchunked' },
    { 'Content-Length': length, 'Transfer-Encoding': '\u000bchunked' },
    { 'Content-Length': length, 'Transfer-Encoding ': 'chunked' },
    { 'Content-Length': length, ' Transfer-Encoding': 'chunked' },
    { 'Content-Length': length, 'X-A': 'b\nTransfer-Encoding: chunked' },
    { 'Content-Length': length, 'X-A': 'b\rTransfer-Encoding: chunked' },
    { 'Content-Length': length, 'X-A': 'b\0Transfer-Encoding: chunked' },
    { 'Content-Length': length, Transfer_Encoding: 'chunked' },
    { 'Content-Length': `0\r\nContent-Length: ${length}` },
    { 'Content-Length': `${length}\r\nContent-Length: 0` },
    { 'Content-Length': `0, ${length}` },
    { 'Content-Length': `+${length}` },
    { 'Content-Length': `0x${inner.length.toString(16)}` },
    { 'Content-Length': `${length} 0` },
    { 'Content-Length': '0', Connection: 'Content-Length' },
    { 'Content-Length': length, Connection: 'Transfer-Encoding', 'Transfer-Encoding': 'chunked' },
    { 'Content-Length': length, Expect: '100-continue' },
  ].flatMap((headers) => {
    const head = request('POST', '/nothing', headers)
    return [`${head}0\r\n\r\n${inner}`, head + inner]
  }),
  ...[
    '0;a\n\r\n',
    '00000000000000000\r\n\r\n',
    '0x0\r\n\r\n',
    ' 0\r\n\r\n',
    '0\n\n',
    '0\r\nX-A: b\n\r\n',
  ].map((end) => request('POST', '/nothing', { 'Transfer-Encoding': 'chunked' }) + end + inner),
]

/** Requests whose bodies look like requests; every reader of HTTP finds the same end of these. */
const HIDDEN: readonly string[] = [
  request('POST', '/nothing', {}, inner),
  request('DELETE', '/v1/owner?key=a', {}, inner),
  request('GET', '/hashring/nodes/get?key=a', {}, inner),
  request('GET', `/hashring/nodes/get?key=${cafe}`, {}, inner),
  request('GET', '/v1/route/rooms/1', {}, inner),
  request('POST', '/nothing', { 'Transfer-Encoding': 'chunked' }) + chunk,
  request('POST', `/hashring/nodes/get?x=${cafe}`, { 'Transfer-Encoding': 'chunked' }) + chunk,
  get(`/hashring/nodes/get?key=${cafe}`),
]

/** Sends bytes, what follows the head in a piece of its own, and gives what comes within a moment. */
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

test.each(Object.entries(PROXIES) as [ProxyName, Configuration][])(
  'behind a real %s nobody gets an answer to a request that was hidden in a body',
  async (name, { args, config }) => {
    await using member = serve(STATIC)
    const { http } = await member.ready()
    const port = await freePort()
    const folder = mkdtempSync(join(tmpdir(), `ringman-${name}-`))
    const file = join(folder, 'config.yaml')
    writeFileSync(file, config(port, http.port, folder))
    const home = { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
    try {
      await using proxy = new NativeProcess(await proxyProgram(name), args(file, folder), home)
      await expect
        .poll(
          async () => {
            proxy.assertRunning()
            return (await exchange(port, get('/v1/owner?key=a'))).status
          },
          { timeout: 60_000 },
        )
        .toBe(200)
      let round = 0
      const attack = async (bytes: string) => {
        round++
        const [answers, victim] = await Promise.all([
          speak(port, bytes),
          exchange(port, get(`/hashring/nodes/get?key=victim-${round}`)),
        ])
        const next = await exchange(port, get(`/hashring/nodes/get?key=next-${round}`))
        expect(victim.body, JSON.stringify(bytes)).toContain(`"Key": "victim-${round}"`)
        expect(next.body, JSON.stringify(bytes)).toContain(`"Key": "next-${round}"`)
        return answers
      }
      for (const bytes of [...HIDDEN, ...HIDDEN, ...HIDDEN]) {
        expect(await attack(bytes), JSON.stringify(bytes)).not.toContain('SMUGGLED')
      }
      // Where the proxy itself ends the request early, what follows is a request of the same client. Others get theirs.
      for (const bytes of TWO_READINGS) await attack(bytes)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
)
