import { createHash } from 'node:crypto'

/** The MD5 digest, 16 bytes. */
export function md5(data: string | Uint8Array): Uint8Array {
  return new Uint8Array(createHash('md5').update(data).digest())
}
