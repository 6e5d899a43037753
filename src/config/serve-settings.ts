import { formatDuration } from '../duration.ts'
import { DEFAULT_HTTP_LIMITS } from '../http/limits.ts'
import { LOG_FORMATS, LOG_LEVELS } from '../telemetry/logger.ts'
import { FORWARD_SETTINGS, keyPlace, upstreamPlace } from './forward-settings.ts'
import { HASH_RING_SETTINGS } from './kubernetes-settings.ts'
import { MEMBER_SETTINGS } from './member-settings.ts'
import { settingsWith, type SettingTable, type ValuesOf } from './setting.ts'
import {
  boolean,
  choice,
  DEFAULT_ADMIN_PORT,
  DEFAULT_HTTP_PORT,
  duration,
  formatSize,
  headerName,
  integer,
  list,
  listenPort,
  path,
  port,
  size,
  word,
} from './value-type.ts'

/** Everything that `ringman serve` can be told. */
export const SERVE_SETTINGS = {
  ...MEMBER_SETTINGS,
  ...HASH_RING_SETTINGS,
  // Every process has an admin port, whatever its source.
  tokenFile: { ...MEMBER_SETTINGS.tokenFile, sources: undefined },
  allowedHosts: { ...MEMBER_SETTINGS.allowedHosts, sources: undefined },
  ...settingsWith({ category: 'HTTP' })({
    httpHost: {
      type: word('HOST', 253),
      default: '0.0.0.0',
      help: 'Address of the HTTP servers, for look-ups and for the admin port',
    },
    httpPort: { type: listenPort, default: DEFAULT_HTTP_PORT, help: 'Port for look-ups' },
    page: { type: boolean, default: true, help: 'Show the status page at / of the look-up port' },
    adminPort: { type: listenPort, default: DEFAULT_ADMIN_PORT, help: 'Port for probes and operators' },
    maxKeyBytes: {
      type: size(1, 1024 * 1024),
      default: formatSize(DEFAULT_HTTP_LIMITS.maxKeyBytes),
      help: 'Longest key in a look-up',
    },
    maxWatchers: {
      type: integer(0, 1_000_000),
      default: DEFAULT_HTTP_LIMITS.maxWatchers,
      help: 'Most ring watches at a time; more are refused',
    },
    maxConnections: {
      type: integer(1, 1_000_000),
      default: DEFAULT_HTTP_LIMITS.maxConnections,
      help: 'Most connections at a time at the look-up port; beyond that the longest idle one is closed',
    },
    httpKeepAliveMs: {
      type: duration(1000, 24 * 3_600_000),
      default: formatDuration(DEFAULT_HTTP_LIMITS.keepAliveTimeoutMs),
      help: 'How long an idle connection stays open; should be longer than a balancer in front keeps it',
    },
    httpFastPath: {
      type: boolean,
      default: true,
      help: 'Whether plain look-ups of single keys are answered without the HTTP parser of Node.js, several times as fast; never while traces are on',
    },
    httpThreads: {
      type: integer(1, 64),
      default: 1,
      needs: 'httpFastPath',
      help: 'Threads that answer plain look-ups, each with a processor of its own; more than 1 only on Linux, and with the fast path',
    },
    routeKey: {
      type: list(keyPlace, { min: 1, max: 16 }),
      default: 'header:x-ringman-key',
      help: 'Where /v1/route finds the key of a request: the first of these that has one',
    },
    routePathHeader: {
      type: headerName,
      help: 'Header in which the proxy gives /v1/route the path and query of the request, such as X-Original-URI; without it they are those behind /v1/route',
    },
    routeWithoutKey: {
      type: choice(['pass', 'refuse']),
      default: 'pass',
      help: 'What /v1/route answers without a key: pass is 200 without an owner, refuse is 400',
    },
  }),
  ...settingsWith({ category: 'Forwarding' })({
    upstream: {
      type: upstreamPlace,
      help: 'Program to stand in front of, as http://HOST:PORT: a proxy listens on the service port, and sends it the requests for keys of this member and the others to their owners',
    },
    keyHeader: {
      type: headerName,
      needs: 'upstream',
      help: 'Header that has the key of a request to the proxy (default: the places of --route-key)',
    },
  }),
  ...FORWARD_SETTINGS,
  ...settingsWith({ category: 'Logging' })({
    logLevel: {
      type: choice(LOG_LEVELS, 'LEVEL'),
      default: 'info',
      help: `Least severe level to log: ${LOG_LEVELS.join(', ')}`,
    },
    logFormat: {
      type: choice(LOG_FORMATS),
      default: 'auto',
      help: 'json, or pretty for people; auto is pretty on a terminal',
    },
  }),
  config: {
    type: path,
    help: 'Configuration file, YAML or JSON',
    category: 'Configuration',
    places: ['flag', 'variable'],
  },
} as const satisfies SettingTable

export type ServeConfig = ValuesOf<typeof SERVE_SETTINGS>

/**
 * What `ringman healthcheck` can be told. Where the member listens has the names that it has for `serve`, so that the
 * variables and the file of a container do for both.
 */
export const HEALTHCHECK_SETTINGS = {
  httpHost: {
    ...SERVE_SETTINGS.httpHost,
    help: "The member's --http-host; 0.0.0.0 and :: are asked on loopback",
    category: 'Member',
  },
  adminPort: {
    ...SERVE_SETTINGS.adminPort,
    type: port,
    help: "The member's --admin-port",
    category: 'Member',
  },
  config: { ...SERVE_SETTINGS.config, help: "The member's configuration file", category: 'Member' },
  timeoutMs: {
    type: duration(1, 60_000),
    default: '3s',
    help: 'How long to wait for an answer',
    category: 'Member',
    places: ['flag'],
  },
} as const satisfies SettingTable

export type HealthcheckConfig = ValuesOf<typeof HEALTHCHECK_SETTINGS>
