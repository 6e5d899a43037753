import type { Effect } from '../../../../src/membership/memberlist/protocol/effects.ts'
import type { Endpoint } from '../../../../src/membership/memberlist/protocol/endpoint.ts'
import type { Message } from '../../../../src/membership/memberlist/wire/messages.ts'

export type EffectOf<K extends Effect['kind']> = Extract<Effect, { kind: K }>
type MessageOf<K extends Message['kind']> = Extract<Message, { kind: K }>

/** `n` of `10.0.0.n`. */
export function numberOf({ address }: Pick<Endpoint, 'address'>): number {
  return Number(address.split('.')[3])
}

/** What was asked for, and when. */
export class EffectLog {
  readonly #effects: { readonly atMs: number; readonly effect: Effect }[] = []

  get effects(): readonly { readonly atMs: number; readonly effect: Effect }[] {
    return this.#effects
  }

  clear(): void {
    this.#effects.length = 0
  }

  of<K extends Effect['kind']>(kind: K): EffectOf<K>[] {
    return this.effects
      .map(({ effect }) => effect)
      .filter((effect): effect is EffectOf<K> => effect.kind === kind)
  }

  /** When effects of a kind were asked for. */
  times(kind: Effect['kind']): number[] {
    return this.effects.filter(({ effect }) => effect.kind === kind).map(({ atMs }) => atMs)
  }

  /** Messages of a kind that were sent, with where to and when. */
  sent<K extends Message['kind']>(kind: K): { message: MessageOf<K>; to: number; atMs: number }[] {
    return this.effects.flatMap(({ effect, atMs }) =>
      effect.kind === 'send-packet'
        ? effect.messages
            .filter((message): message is MessageOf<K> => message.kind === kind)
            .map((message) => ({ message, to: numberOf(effect.to), atMs }))
        : [],
    )
  }

  changes(): string[] {
    return this.of('member-changed').map(({ change, member }) => `${member.name} ${change}`)
  }

  protected keep(effects: readonly Effect[], atMs: number): void {
    for (const effect of effects) this.#effects.push({ atMs, effect })
  }
}
