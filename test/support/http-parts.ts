import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type Koa from 'koa'
import { onTestFinished } from 'vitest'
import { systemClock, type Clock } from '../../src/clock.ts'
import { ActingGuard } from '../../src/http/acting-guard.ts'
import { ConnectionLedger } from '../../src/http/connection-ledger.ts'
import { withDefaultLimits, type HttpLimits } from '../../src/http/limits.ts'
import { Responder } from '../../src/http/respond.ts'
import type { Route } from '../../src/http/route.ts'
import { silentLogger, type Logger } from '../../src/logger.ts'

/** A file with a token, which goes when the test is over that asks for it. */
export function tokenFileWith(token: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'ringman-token-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'token')
  writeFileSync(path, `${token}\n`)
  return path
}

/** Lets hosts have a process act that a test names, with a token where there is one, or a file of it. */
export function guardFor(
  given: { readonly token?: string; readonly tokenFile?: string; readonly hosts?: string[] } = {},
) {
  const { token, hosts = [] } = given
  const tokenFile = token === undefined ? given.tokenFile : tokenFileWith(token)
  return new ActingGuard({ tokenFile, allowedHosts: hosts, clock: systemClock, logger: silentLogger })
}

/** What an application and a server on a free loopback port need, made to fit each other. */
export function httpParts(
  given: {
    readonly limits?: Partial<HttpLimits> | undefined
    readonly clock?: Clock | undefined
    readonly logger?: Logger | undefined
  } = {},
) {
  const limits = withDefaultLimits(given.limits)
  const { clock = systemClock, logger = silentLogger } = given
  const ledger = new ConnectionLedger({ clock, logger, limits })
  const responder = new Responder({ ledger, port: 'lookup', clock, logger })
  return {
    limits,
    clock,
    logger,
    ledger,
    responder,
    connections: ledger.openPort('lookup', limits),
    host: '127.0.0.1',
    port: 0,
  }
}

/** One route as an application of its own, to which it leaves its faults. */
export function middlewareOf(
  makeRoute: (responder: Responder) => Route,
  parts = httpParts(),
): Koa.Middleware {
  const route = makeRoute(parts.responder)
  return async (ctx) => {
    const reply = 'any' in route ? await route.any(ctx, '', '') : undefined
    if (reply !== undefined) parts.responder.send(ctx, reply)
  }
}
