/** Whether a value is a JSON object, and no list. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The object that a JSON text is, in UTF-8 where it is given as bytes; undefined for whatever else it is. */
export function objectIn(json: string | Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(typeof json === 'string' ? json : utf8.decode(json))
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })
