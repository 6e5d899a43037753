import { homedir } from 'node:os'
import { join } from 'node:path'

/**
 * The folder for what tests fetch or build once, outside the checkout: `RINGMAN_CACHE_DIR`, else `ringman` in
 * `XDG_CACHE_HOME` or `~/.cache`; an empty variable counts as none. It may not exist yet.
 */
export function cacheFolder(): string {
  const { RINGMAN_CACHE_DIR: own, XDG_CACHE_HOME: shared } = process.env
  if (own !== undefined && own !== '') return own
  return join(shared === undefined || shared === '' ? join(homedir(), '.cache') : shared, 'ringman')
}
