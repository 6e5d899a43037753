import type { Socket } from 'node:net'

/** Destroys sockets; resolves when all of them are released, their `close` listeners called. */
export async function releaseSockets(sockets: Iterable<Socket>): Promise<void> {
  await Promise.all(
    Array.from(
      sockets,
      (socket) =>
        new Promise<void>((resolve) => {
          if (socket.closed) {
            resolve()
            return
          }
          socket.once('close', () => {
            resolve()
          })
          socket.destroy()
        }),
    ),
  )
}
