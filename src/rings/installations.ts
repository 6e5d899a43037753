/** An installation of ringman, as the status of a HashRing names it. */
export interface SeenInstallation {
  readonly name: string
  /** When it last said that it is there, in milliseconds since the Unix epoch, whole seconds. */
  readonly timeMs: number
}

/** What a status says of those who watch its HashRing. */
export interface Watchers {
  /** The one that writes the status; undefined before the first write. */
  readonly writer: SeenInstallation | undefined
  /** Those that watch it as well, and leave the status alone. */
  readonly others: readonly SeenInstallation[]
}

/** What an installation is to do about a HashRing. */
export type Standing =
  /** Write its status, with these watchers in it. */
  | { readonly role: 'writer'; readonly watchers: Watchers }
  /** Leave the status to another one; with `watchers`, say in it that this one is there. */
  | { readonly role: 'bystander'; readonly writer: string; readonly watchers: Watchers | undefined }

/** How often one that leaves a status alone says that it is still there, in milliseconds. */
const RENEW_MS = 30 * 60_000
/** One that has not said so for as long is gone, in milliseconds. */
const FORGET_MS = 2 * RENEW_MS
/** How long the writer may take to answer one that says that it is there, in milliseconds. */
const ANSWER_MS = 60_000
/** A status has room for so many. */
const OTHERS_LIMIT = 10

/**
 * Finds out who writes a status where several installations watch one HashRing. The first one does; another one says that
 * it is there, and the writer answers by writing a newer time of its own. A writer that does not answer within a minute is
 * gone, and the one that asked takes its place. So two never write in turns, and nothing is written while one is alone.
 *
 * @param own - The name of this installation.
 * @param isLeft - Whether the status has not been what it should be for a while: then the writer is asked at once.
 */
export function standingOf(
  own: string,
  { writer, others }: Watchers,
  nowMs: number,
  isLeft: boolean,
): Standing {
  const wholeMs = Math.floor(nowMs / 1000) * 1000
  const living = others.filter(({ name, timeMs }) => name !== own && nowMs - timeMs < FORGET_MS)
  const asWriter = (timeMs: number): Standing => {
    const asked = Math.max(0, ...living.map((other) => other.timeMs))
    const answeredMs = asked > timeMs ? Math.max(asked, wholeMs) : timeMs
    return { role: 'writer', watchers: { writer: { name: own, timeMs: answeredMs }, others: living } }
  }
  if (writer === undefined) return asWriter(wholeMs)
  if (writer.name === own) return asWriter(writer.timeMs)
  const said = others.find(({ name }) => name === own)?.timeMs
  const isAnswered = said !== undefined && writer.timeMs >= said
  if (said !== undefined && !isAnswered) {
    if (nowMs - said >= ANSWER_MS) return asWriter(wholeMs)
    return { role: 'bystander', writer: writer.name, watchers: undefined }
  }
  const isDue = said === undefined || nowMs - said >= RENEW_MS || (isLeft && nowMs - said >= 2 * ANSWER_MS)
  const saying = [{ name: own, timeMs: Math.max(wholeMs, writer.timeMs + 1000) }, ...living]
  const watchers = isDue ? { writer, others: saying.slice(0, OTHERS_LIMIT) } : undefined
  return { role: 'bystander', writer: writer.name, watchers }
}
