import { Socket, type SocketConstructorOpts } from 'node:net'

/** What was read last, on whichever connection. */
const bytes = Buffer.allocUnsafeSlow(64 * 1024)

/** What is done with what a connection reads. */
interface Reader {
  /** Is given the first `length` bytes for the time of the call. @returns How many of them it needs no more. */
  readonly take: (bytes: Buffer, length: number) => number
  /** Is given a copy of the others. @returns Whether to read on. */
  readonly keep: (rest: Buffer) => boolean
}

/**
 * Puts a socket in the place of one that was accepted and has read nothing yet, which is nobody's from then on. All such sockets
 * read into the same memory: Node would take 64 KiB for each read, give nearly all of it back, and pass the rest through a stream,
 * which costs a look-up more than all that is done for it.
 */
export function shareReads(accepted: Socket, { take, keep }: Reader): Socket {
  const holder = accepted as unknown as { _handle: SocketConstructorOpts['handle'] | null }
  const handle = holder._handle ?? undefined
  holder._handle = null
  accepted.destroy()
  return new Socket({
    // As Node itself makes the socket of a connection. It lets clients alone say where to read.
    ...(handle === undefined ? {} : { handle }),
    allowHalfOpen: true,
    onread: {
      buffer: bytes,
      callback(length) {
        const taken = take(bytes, length)
        if (taken === length) return true
        const rest = Buffer.allocUnsafeSlow(length - taken)
        bytes.copy(rest, 0, taken, length)
        return keep(rest)
      },
    },
  })
}
