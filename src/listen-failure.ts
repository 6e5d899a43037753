const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'not allowed to use that port',
  EADDRINUSE: 'the port is taken by another program',
  EADDRNOTAVAIL: 'this machine does not have that address',
  ENOTFOUND: 'the host name does not resolve',
}

/**
 * Why a port cannot be listened on.
 *
 * @param setting - What sets the port; it is named where another port would do.
 */
export function whyNotListening({ code = '', message }: NodeJS.ErrnoException, setting?: string): string {
  const isOfPort = code === 'EADDRINUSE' || code === 'EACCES'
  return `${REASONS[code] ?? message}${isOfPort && setting !== undefined ? `; ${setting} takes another` : ''}`
}
