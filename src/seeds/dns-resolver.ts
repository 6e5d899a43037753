import { lookup, Resolver } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'

/** The target of an SRV record. */
export interface ServiceTarget {
  /** A host name, as the record has it. */
  readonly name: string
  /** 1 to 65535. */
  readonly port: number
}

/**
 * Name resolution as a dependency. Each method rejects with an error whose `code` is one of Node's DNS codes
 * (`ENOTFOUND`, `ENODATA`, `ESERVFAIL`, `ETIMEOUT`, …), and soon after `signal` aborts where it can.
 */
export interface DnsResolver {
  /** All A and AAAA records of a name, from the DNS servers; the search list of this machine applies. */
  addressesOf(name: string, signal: AbortSignal): Promise<string[]>
  /** All addresses of a host name as any program of this machine finds them, hosts file included. */
  lookUp(name: string, signal: AbortSignal): Promise<string[]>
  /** All SRV records of a name; the search list of this machine applies. */
  servicesOf(name: string, signal: AbortSignal): Promise<ServiceTarget[]>
}

/** What `/etc/resolv.conf` says about names that are not absolute. */
export interface SearchList {
  /** Domains to append, in order. */
  readonly domains: readonly string[]
  /** A name with at least this many dots is tried as it is first. */
  readonly ndots: number
}

/** Domains of a search list that are tried; more are ignored. */
const SEARCH_LIMIT = 8

/**
 * The search list of a `resolv.conf`: the last `search` or `domain` line, and `options ndots:N` (0 to 15,
 * default 1).
 *
 * @see resolv.conf(5)
 */
export function parseSearchList(text: string): SearchList {
  let domains: string[] = []
  let ndots = 1
  for (const line of text.split('\n')) {
    const [keyword, ...rest] = line.trim().split(/\s+/)
    if (keyword === 'search') domains = rest.slice(0, SEARCH_LIMIT)
    else if (keyword === 'domain') domains = rest.slice(0, 1)
    else if (keyword === 'options') {
      for (const option of rest) {
        const match = /^ndots:(\d{1,2})$/.exec(option)
        if (match !== null) ndots = Math.min(15, Number(match[1]))
      }
    }
  }
  return { domains, ndots }
}

/**
 * The absolute names to ask for, in order, as the system's own resolver would. DNS queries of Node do not apply
 * the search list, but a name such as `gossip.default.svc` in a cluster only exists through it.
 */
export function candidateNames(name: string, { domains, ndots }: SearchList): string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)]
  const searched = domains
    .map((domain) => `${name}.${domain.replace(/\.$/, '')}`)
    .filter(({ length }) => length <= 253)
  const dots = name.split('.').length - 1
  return dots >= ndots ? [name, ...searched] : [...searched, name]
}

export interface NodeDnsOptions {
  /** DNS servers, `IP[:PORT]`. @default those of the system */
  readonly servers?: readonly string[]
  /** Milliseconds for one try of one query. @default 2000 */
  readonly queryTimeoutMs?: number
  /** @default what `/etc/resolv.conf` says at the time of the query */
  readonly searchList?: SearchList
}

/** {@link DnsResolver} on `node:dns`. Servers and search list are read again for each name, as they may change. */
export class NodeDnsResolver implements DnsResolver {
  readonly #options: NodeDnsOptions

  constructor(options: NodeDnsOptions = {}) {
    this.#options = options
  }

  addressesOf(name: string, signal: AbortSignal): Promise<string[]> {
    return this.#firstAnswer(name, signal, async (resolver, candidate) => {
      const asked = [resolver.resolve4(candidate), resolver.resolve6(candidate)]
      const results = await Promise.allSettled(asked)
      const found = results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []))
      if (found.length > 0) return found
      const reasons = results.flatMap((result) =>
        result.status === 'rejected' ? [result.reason as Error] : [],
      )
      throw reasons.find((reason) => !isAbsence(reason)) ?? reasons[0] ?? noData(candidate)
    })
  }

  async lookUp(name: string): Promise<string[]> {
    const found = await lookup(name, { all: true })
    return found.map(({ address }) => address)
  }

  servicesOf(name: string, signal: AbortSignal): Promise<ServiceTarget[]> {
    return this.#firstAnswer(name, signal, async (resolver, candidate) => {
      const records = await resolver.resolveSrv(candidate)
      // "." as the target says that there is decidedly no such service.
      const targets = records.filter(({ name: target, port }) => target !== '' && target !== '.' && port > 0)
      if (targets.length === 0) throw noData(candidate)
      return targets.map(({ name: target, port }) => ({ name: target, port }))
    })
  }

  /** Asks for one candidate name after the other; when none has an answer, a server's failure outweighs absence. */
  async #firstAnswer<T>(
    name: string,
    signal: AbortSignal,
    ask: (resolver: Resolver, candidate: string) => Promise<T>,
  ): Promise<T> {
    // A machine without the file has no search list.
    const read = () => readFile('/etc/resolv.conf', 'utf8').catch(() => '')
    const searchList = this.#options.searchList ?? parseSearchList(await read())
    const resolver = new Resolver({ timeout: this.#options.queryTimeoutMs ?? 2000, tries: 2 })
    if (this.#options.servers !== undefined) resolver.setServers(this.#options.servers)
    const cancel = () => resolver.cancel()
    signal.addEventListener('abort', cancel)
    try {
      let failure: unknown
      for (const candidate of candidateNames(name, searchList)) {
        signal.throwIfAborted()
        try {
          return await ask(resolver, candidate)
        } catch (error) {
          if (failure === undefined || (isAbsence(failure) && !isAbsence(error))) failure = error
        }
      }
      throw failure
    } finally {
      signal.removeEventListener('abort', cancel)
    }
  }
}

/** The `code` of a DNS error, `UNKNOWN` when it has none. */
export function dnsCodeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : 'UNKNOWN'
}

/** Whether the DNS itself says that there is nothing, as opposed to not answering. */
export function isAbsence(error: unknown): boolean {
  const code = dnsCodeOf(error)
  return code === 'ENOTFOUND' || code === 'ENODATA'
}

function noData(name: string): Error {
  return Object.assign(new Error(`no records of ${name}`), { code: 'ENODATA' })
}
