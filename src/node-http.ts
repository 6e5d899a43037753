import type Https from 'node:https'

/**
 * `node:http`. A module that imports it by name makes Node.js read all of its properties, `WebSocket` among them, and so load
 * all of its `fetch`: 13 MB of memory and 40 ms of processor time. Types can be imported from `node:http`.
 */
export const http = process.getBuiltinModule('node:http')

/** `node:https`, for whoever does need it: with it comes TLS, 4 MB of memory. */
export function https(): typeof Https {
  return process.getBuiltinModule('node:https')
}
