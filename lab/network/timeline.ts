/** What was done to a cluster. */
export type Deed =
  | {
      readonly kind: 'started' | 'killed' | 'left' | 'frozen' | 'thawed' | 'isolated'
      readonly member: string
    }
  | { readonly kind: 'split'; readonly islands: readonly (readonly string[])[] }
  | { readonly kind: 'loss'; readonly fraction: number }
  /** The network is whole and loses nothing again. */
  | { readonly kind: 'mended' }

/** A change of what one member shows. */
export interface ViewChange {
  readonly kind: 'view'
  readonly observer: string
  readonly change: 'join' | 'leave'
  readonly subject: string
}

/** What happened, and when: wall clock in milliseconds, the same for all processes of the machine. */
export type TimelineEntry = { readonly atMs: number } & (Deed | ViewChange)

/**
 * What is true of a cluster, whatever its members believe. A healthy member runs, is not frozen and has not left;
 * a healthy member ought to show exactly the healthy members that its packets reach.
 */
export class Truth {
  readonly #running = new Set<string>()
  readonly #frozen = new Set<string>()
  #island = new Map<string, number>()

  apply(deed: Deed): void {
    switch (deed.kind) {
      case 'started':
        this.#running.add(deed.member)
        return
      case 'killed':
      case 'left':
        this.#running.delete(deed.member)
        this.#frozen.delete(deed.member)
        return
      case 'frozen':
        this.#frozen.add(deed.member)
        return
      case 'thawed':
        this.#frozen.delete(deed.member)
        return
      case 'isolated':
        this.#island = new Map([[deed.member, 1]])
        return
      case 'split':
        this.#island = new Map(deed.islands.flatMap((names, i) => names.map((name) => [name, i + 1])))
        return
      case 'mended':
        this.#island = new Map()
        return
      case 'loss':
        return
    }
  }

  get healthy(): string[] {
    return [...this.#running].filter((name) => !this.#frozen.has(name))
  }

  isHealthy(member: string): boolean {
    return this.#running.has(member) && !this.#frozen.has(member)
  }

  /** Whether the network carries packets between two hosts, loss aside. */
  reaches(from: string, to: string): boolean {
    return (this.#island.get(from) ?? 0) === (this.#island.get(to) ?? 0)
  }

  /** Whether the observer ought to show the subject. */
  ought(observer: string, subject: string): boolean {
    return this.isHealthy(subject) && this.reaches(observer, subject)
  }

  /** The members that the observer ought to show, itself among them. */
  view(observer: string): string[] {
    return this.healthy.filter((subject) => this.reaches(observer, subject))
  }
}
