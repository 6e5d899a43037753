import type { Span, Tracer } from '@opentelemetry/api'
import { failSpan } from '../../tracing.ts'
import type { JoinFinishedEffect, StartPushPullEffect } from './protocol/effects.ts'

/** The spans of joins: one for each that had to ask somebody. */
export class JoinTrace {
  readonly #tracer: Tracer
  #joining: { readonly span: Span; contacts: number } | undefined

  constructor(tracer: Tracer) {
    this.#tracer = tracer
  }

  begin(seeds: number): void {
    const attributes = { 'ringman.join.seeds': seeds }
    this.#joining ??= { span: this.#tracer.startSpan('gossip.join', { root: true, attributes }), contacts: 0 }
  }

  /** The span of the join that an exchange belongs to; seeds are asked again later, by themselves. */
  spanOf({ state }: StartPushPullEffect): Span | undefined {
    if (!state.join || this.#joining === undefined) return undefined
    this.#joining.contacts++
    return this.#joining.span
  }

  end({ reached, failed }: JoinFinishedEffect): void {
    const joining = this.#joining
    this.#joining = undefined
    // Where every seed was a living member already there is nothing to tell of.
    if (joining === undefined || joining.contacts === 0) return
    joining.span.setAttributes({
      'ringman.join.contacts': joining.contacts,
      'ringman.join.reached': reached.length,
      'ringman.join.failed': failed.length,
    })
    if (reached.length === 0) failSpan(joining.span, 'unreachable')
    joining.span.end()
  }
}
