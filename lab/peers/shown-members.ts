import type { MemberLine, ShownMember } from './member-protocol.ts'

/** The members that one program shows, as its events tell. */
export class ShownMembers {
  readonly #members = new Map<string, ShownMember>()

  get names(): ReadonlySet<string> {
    return new Set(this.#members.keys())
  }

  /** Takes the next line of the program; lines that are no view events change nothing. */
  apply(line: MemberLine): void {
    if (line.type === 'join' || line.type === 'update') {
      this.#members.set(line.member.name, line.member)
    } else if (line.type === 'leave') {
      this.#members.delete(line.member.name)
    }
  }

  get(name: string): ShownMember | undefined {
    return this.#members.get(name)
  }

  /** Whether exactly these members are shown. */
  equals(names: Iterable<string>): boolean {
    const expected = new Set(names)
    return expected.size === this.#members.size && [...expected].every((name) => this.#members.has(name))
  }
}
