import type { Metric } from '../metric.ts'

/** Label values for the routes that look up keys. */
export const LOOK_UP_ROUTES = {
  '/v1/owner': 'One key, one owner.',
  '/v1/owners': 'One key, the first `n` owners (`GET`).',
  'POST /v1/owners': 'Many keys at once.',
  '/v1/route': 'One key, found in the request of a proxy.',
  '/hashring/nodes/get': "One key, by the Go library's route.",
} as const

/** How a look-up may end. */
export const LOOK_UP_RESULTS = {
  ok: 'Answered with an owner.',
  'no-key': 'No key in a request of a proxy, which was answered without an owner (only `/v1/route`).',
  refused: 'The request was wrong: no key, a bad `n`, a body that is too large.',
  'ring-empty': 'No node is on the ring. The compatible route answers 200 with an empty `Node` then.',
  unavailable: 'The ring does not run (the process starts or stops), or too many bodies are under way.',
  failed: 'A fault of ringman.',
} as const

const PORTS = {
  lookup: 'The port for look-ups.',
  admin: 'The port for probes and metrics.',
  proxy: 'The port in front of the program, only of `ringman proxy`.',
} as const

/** Look-ups and the HTTP ports. */
export const HTTP_METRICS = {
  lookUps: {
    name: 'ringman_lookups_total',
    labels: { route: LOOK_UP_ROUTES, result: LOOK_UP_RESULTS },
    meaning: 'Requests for owners of keys, by route and result.',
    reading:
      '`ring-empty`, `unavailable` and `failed` are ours; `refused` is the caller’s. All series are there from the start, so that the first error shows in `rate`.',
    query:
      'sum by (namespace) (rate(ringman_lookups_total{result=~"ring-empty|unavailable|failed"}[5m])) / sum by (namespace) (rate(ringman_lookups_total[5m]))',
  },
  lookUpKeys: {
    name: 'ringman_lookup_keys_total',
    labels: { route: LOOK_UP_ROUTES },
    meaning: 'Keys looked up with success; a batch counts with all its keys.',
    query: 'sum by (pod) (rate(ringman_lookup_keys_total[1m]))',
  },
  lookUpDuration: {
    name: 'ringman_lookup_duration_seconds',
    labels: { route: LOOK_UP_ROUTES },
    buckets: [50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 100e-3, 1],
    meaning: 'Time from the request as parsed to the answer as written, of look-ups with any result.',
    reading:
      'The time in the process, bodies included, sockets and network not. When callers see more than this says, look at `ringman_event_loop_delay_seconds`: a request waits there before its time begins. Exemplars carry trace ids where a trace is sampled.',
    query:
      'histogram_quantile(0.99, sum by (namespace, le) (rate(ringman_lookup_duration_seconds_bucket{route!="POST /v1/owners"}[5m])))',
  },
  httpRequests: {
    name: 'ringman_http_requests_total',
    labels: {
      route: 'A path that ringman serves on the look-up port, or `other` for every path that it does not.',
      method: { GET: '', HEAD: '', POST: '', OPTIONS: '', other: 'Any other method.' },
      status: 'The HTTP status of the answer, or `aborted` when the client went before there was one.',
    },
    meaning: 'Requests to the look-up port, by route, method and status.',
    reading: 'A series appears with its first request. Watches count when they begin.',
    query: 'sum by (route, status) (rate(ringman_http_requests_total{status!~"2.."}[5m]))',
  },
  httpConnections: {
    name: 'ringman_http_connections',
    scope: 'process',
    labels: { port: PORTS },
    meaning: 'Connections that are open, by port.',
  },
  httpConnectionsLimit: {
    name: 'ringman_http_connections_limit',
    scope: 'process',
    labels: { port: PORTS },
    meaning: 'Connections that may be open at once, by port.',
    reading:
      'For look-ups, and for the proxy, `--max-connections`, or half of the file descriptors that were free at the start, if that is less.',
    query:
      'max by (namespace, pod) (ringman_http_connections{port="lookup"} / ringman_http_connections_limit{port="lookup"})',
  },
  httpConnectionsClosed: {
    name: 'ringman_http_connections_closed_total',
    scope: 'process',
    labels: {
      reason: {
        'no-room': 'Refused as it came: the port was full, and every connection was in use.',
        'made-room': 'Closed for a new one, because the port was full: it had been idle longest.',
        'unfinished-heads':
          'Closed because too many bytes of request heads were held that were unfinished or not answered.',
        'slow-reader': 'Closed because bytes waited for its reader, who took none for 15 s.',
        'answers-waiting': 'Closed because most bytes waited for its reader, while too many waited in sum.',
        'unfinished-bodies':
          'Closed because its unfinished body took most memory, while too much was taken in sum.',
      },
    },
    meaning: 'Connections that this process closed to stay within its limits, by reason.',
    reading: '`made-room` and `no-room`: more clients than the limit, or an attack. Clients connect again.',
    query: 'sum by (namespace, pod, reason) (increase(ringman_http_connections_closed_total[5m]))',
  },
  httpHeldBytes: {
    name: 'ringman_http_held_bytes',
    scope: 'process',
    labels: {
      kind: {
        head: 'Of request heads that are unfinished or not answered yet, each request with 4 KiB besides, and of requests that wait for their turn.',
        body: 'Memory taken for request bodies that are being read.',
        answer: 'Of answers that wait for their readers.',
      },
    },
    meaning: 'Bytes held for clients, by kind. Each kind has its limit.',
  },
  httpThreads: {
    name: 'ringman_http_threads',
    scope: 'process',
    meaning: 'Threads that answer look-ups, the main one among them.',
    reading:
      'Fewer than `--http-threads` for longer than a moment: threads end again and again; the log says why.',
  },
  httpThreadsReplaced: {
    name: 'ringman_http_threads_replaced_total',
    scope: 'process',
    labels: {
      reason: {
        late: 'It had not the new ring after 100 ms, and held up the change.',
        silent: 'It said nothing for three seconds.',
        ended: 'It failed.',
      },
    },
    meaning: 'Threads that were ended, with their connections, and replaced, by reason.',
    reading: '`late` where the processor is overcommitted: a thread that does not run cannot take a ring.',
    query: 'sum by (namespace, pod, reason) (increase(ringman_http_threads_replaced_total[5m]))',
  },
  ready: {
    name: 'ringman_ready',
    scope: 'process',
    meaning: 'Whether `/readyz` would say at this scrape that the process is ready: 1, else 0.',
    reading: '`/readyz` and the log say why not.',
  },
} as const satisfies Record<string, Metric>
