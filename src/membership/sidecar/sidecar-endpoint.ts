import { RingmanError } from '../../errors.ts'

/**
 * Reads the address of a Sidecar's state, such as `http://localhost:7777/api/state.json`.
 *
 * @throws {RingmanError} `CONFIG_INVALID` unless it is an `http:` or `https:` URL without user, password, query
 *   and fragment.
 */
export function parseSidecarUrl(text: string): URL {
  const url = URL.parse(text)
  const plain =
    url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === ''
  if (!plain || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    // Not the text itself: it may hold a password.
    throw new RingmanError(
      'CONFIG_INVALID',
      "Sidecar's URL must be an http or https URL without user, password, query or fragment, such as http://localhost:7777/api/state.json",
    )
  }
  return url
}

/**
 * Where the Sidecar whose state is at `stateUrl` streams its state: `watch` beside it. `by_service=false` asks
 * for the whole state each time; the other form lacks the time of the last change.
 */
export function watchUrlOf(stateUrl: URL): URL {
  const url = new URL('watch', stateUrl)
  url.searchParams.set('by_service', 'false')
  return url
}
