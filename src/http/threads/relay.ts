import { randomBytes, timingSafeEqual } from 'node:crypto'
import { readSync } from 'node:fs'
import { createServer, Socket, type Server } from 'node:net'

/** How long a thread may take to say whose connection it relays, in milliseconds. */
const HEAD_MS = 5000

/** So many connections may have said nothing yet, more than clients can have at once; then the oldest makes room. */
const MAX_SILENT = 4096

const LINE_FEED = 0x0a

/** Where a thread relays connections to. */
export interface RelayTarget {
  /** A socket without a file, as only Linux has it: it works on a read-only file system. */
  readonly path: string
  /** Whoever does not know it is no thread of this process; the other containers of a pod reach the socket, too. */
  readonly secret: string
}

/** The end in the main thread of the connections that other threads relay to it. */
export class RelayServer {
  readonly target: RelayTarget = {
    path: `\0ringman-${process.pid}-${randomBytes(8).toString('hex')}`,
    secret: randomBytes(16).toString('hex'),
  }
  readonly #server: Server
  readonly #silent = new Set<Socket>()

  /** @param serve - Gets each connection; its `remoteAddress` is that of the client. */
  constructor(serve: (socket: Socket) => void, maxSilent = MAX_SILENT) {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', ignore)
      const hangUp = () => socket.destroy()
      socket.setTimeout(HEAD_MS, hangUp)
      socket.once('end', hangUp)
      this.#silent.add(socket)
      const speak = () => this.#silent.delete(socket)
      socket.once('close', speak)
      const [oldest] = this.#silent
      if (this.#silent.size > maxSilent) oldest?.destroy()
      socket.once('data', (part: Buffer) => {
        speak()
        socket.setTimeout(0).off('timeout', hangUp).off('end', hangUp).off('close', speak)
        // Threads write the line in one piece, and so it comes.
        const end = part.indexOf(LINE_FEED)
        const [secret, address] = part.toString('latin1', 0, Math.max(0, end)).split(' ')
        if (!this.#isSecret(secret)) {
          socket.destroy()
          return
        }
        Object.defineProperty(socket, 'remoteAddress', { value: address })
        socket.off('error', ignore)
        serve(socket)
        if (end + 1 < part.length) socket.unshift(part.subarray(end + 1))
      })
    })
  }

  #isSecret(given = ''): boolean {
    const [own, other] = [Buffer.from(this.target.secret), Buffer.from(given)]
    return own.length === other.length && timingSafeEqual(own, other)
  }

  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      // As many wait as the system lets: a thread whose connection finds no place closes its client's.
      this.#server.listen({ path: this.target.path, backlog: 65_535 }, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
  }

  /** Takes no more; those that are open go on. */
  stop(): void {
    this.#server.close()
  }
}

const ignore = () => {}

/** The end of a relay in a thread. */
class RelayEnd extends Socket {
  readonly #client: Socket

  constructor(client: Socket) {
    super({ allowHalfOpen: true })
    this.#client = client
  }

  override _destroy(error: NodeJS.ErrnoException | null, callback: (error?: Error | null) => void): void {
    // What the main thread wrote before it closed is still to be read.
    if (error?.syscall === 'write' && this.readableLength === 0) this.#readRest()
    super._destroy(error, callback)
  }

  #readRest(): void {
    const { fd } = (this as { readonly _handle?: { readonly fd: number } | null })._handle ?? { fd: -1 }
    const part = Buffer.alloc(64 * 1024)
    try {
      for (let bytes; (bytes = readSync(fd, part)) > 0;)
        this.#client.write(Buffer.from(part.subarray(0, bytes)))
    } catch {
      // Nothing is left.
    }
  }
}

/**
 * Gives a client's connection to the main thread until it ends, with what came on it.
 *
 * @param first - The bytes that were read last.
 */
export function relay(client: Socket, first: Buffer, { path, secret }: RelayTarget): void {
  const inner = new RelayEnd(client).connect({ path })
  inner.write(`${secret} ${client.remoteAddress ?? ''}\n`, 'latin1')
  inner.write(first)
  for (const socket of [client, inner]) socket.on('error', ignore)
  client.setTimeout(0)
  client.on('close', () => inner.destroy())
  inner.on('close', () => client.destroySoon())
  client.pipe(inner).pipe(client)
}
