import { createHash } from 'node:crypto'
import { seededRandom } from '../sim/seeded-random.ts'
import type { Fleet } from './fleet.ts'
import { Load, WrongAnswer } from './load.ts'

/** Constant load on `examples/sharded-cache.ts`: every answer must be the value of its key. */
export function cacheLoad(
  fleet: Fleet,
  {
    keys,
    perSecond,
    seed,
  }: { readonly keys: readonly string[]; readonly perSecond: number; readonly seed: number },
): Load {
  return new Load({
    fleet,
    path: '/values/',
    keys,
    perSecond,
    random: seededRandom(seed),
    check: (key, body) => {
      const answer = JSON.parse(body) as Record<string, unknown>
      const { value, answeredBy, hit, isOwner, cameAt } = answer
      if (answer['key'] !== key || value !== createHash('sha256').update(key).digest('hex')) {
        throw new WrongAnswer(body)
      }
      const by = String(answeredBy).replace('cache-', '127.0.0.1:')
      return { key, by, hit: hit === true, isOwner: isOwner === true, atMs: Number(cameAt) }
    },
  })
}
