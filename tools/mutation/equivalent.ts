import type { Mutant } from './mutants.ts'

/** Mutants that no test can kill, because what the code promises is kept all the same: each was looked at. */
export interface Equivalent {
  /** Path from the root of the checkout. */
  readonly file: string
  /** The line of the mutant, trimmed. */
  readonly code: string
  /** What becomes of what, as the tool prints it. */
  readonly changes: readonly string[]
  readonly why: string
}

export const EQUIVALENT: readonly Equivalent[] = [
  {
    file: 'src/manager/change-record.ts',
    code: "const cause = (blamed === undefined ? found[0] : causes.get(blamed.ringKey)) ?? 'updated'",
    changes: [
      "'updated' → ''",
      "(blamed === undefined ? found[0] : causes.get(blamed.ringKey)) ?? 'updated' → (blamed === undefined ? found[0] : causes.get(blamed.ringKey))",
    ],
    why: 'What goes or comes has a cause: the compiler does not know.',
  },
  {
    file: 'src/manager/change-record.ts',
    code: "const [node = ''] = nodes",
    changes: ["'' → 'mutant'"],
    why: 'A cause that was found has a node: the compiler does not know.',
  },
  {
    file: 'src/manager/change-record.ts',
    code: 'const state = name === undefined ? undefined : stateOf(name)',
    changes: ['name === undefined → false'],
    why: 'No source lists a member without a name.',
  },
  {
    file: 'src/manager/change-record.ts',
    code: 'for (const { name } of nodes) if (wanted.has(name)) found.add(name)',
    changes: ['wanted.has(name) → true'],
    why: 'Nobody asks for names that are not wanted; there are only fewer to keep.',
  },
  {
    file: 'src/manager/change-record.ts',
    code: '(was !== undefined && was !== is && compareRingKeys(was.ringKey, is.ringKey) < 0)',
    changes: ['was !== is → true'],
    why: 'A node does not come before itself; it is only quicker not to compare.',
  },
  {
    file: 'src/manager/ring-order.ts',
    code: 'return a.isWhole === b.isWhole ? a.length > b.length : a.isWhole',
    changes: ['a.length > b.length → a.length >= b.length'],
    why: 'Two pasts that are whole or not, and of one length, are the same.',
  },
  {
    file: 'src/manager/hash-ring-manager.ts',
    code: 'if (setAt === mutations.length - 1) return nodes',
    changes: ['setAt === mutations.length - 1 → false', 'mutations.length - 1 → mutations.length + 1'],
    why: 'Without anything to add or remove the same nodes come out; it is only quicker.',
  },
  {
    file: 'src/manager/hash-ring-manager.ts',
    code: "else if (mutation.kind === 'add') byRingKey.set(mutation.node.ringKey, mutation.node)",
    changes: ["mutation.kind === 'add' → true"],
    why: 'Behind the last set there is none: the compiler does not know.',
  },
  {
    file: 'src/membership/memberlist/wire/packet-decoder.ts',
    code: 'if (!isMalformed(error)) throw error',
    changes: ['!isMalformed(error) → false'],
    why: 'Nothing else is thrown there.',
  },
  {
    file: 'src/membership/memberlist/wire/msgpack-writer.ts',
    code: 'const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2))',
    changes: ['this.#bytes.length * 2 → this.#bytes.length / 2', '2 → (2 + 1)'],
    why: 'It has the room that is needed; how much more is a matter of speed.',
  },
  {
    file: 'src/membership/memberlist/wire/msgpack-reader.ts',
    code: 'if (likely !== undefined && this.#isAt(start, length, likely)) return guess',
    changes: [
      'likely !== undefined → false',
      'likely !== undefined && this.#isAt(start, length, likely) → false',
    ],
    why: 'The names are looked through all the same; the guess is only quicker.',
  },
  {
    file: 'src/membership/memberlist/wire/text.ts',
    code: 'if (byte >= 0x80) {',
    changes: ['byte >= 0x80 → true'],
    why: 'The long way round takes ASCII as well.',
  },
  {
    file: 'src/membership/memberlist/wire/msgpack-writer.ts',
    code: 'for (let i = 0; i < length; i++) {',
    changes: ['i < length → i <= length'],
    why: 'Behind the end of a text there is NaN, which is not written or is written over.',
  },
  {
    file: 'src/membership/memberlist/wire/message-codec.ts',
    code: 'if (name.length * 3 > MAX_NAME_BYTES && new TextEncoder().encode(name).length > MAX_NAME_BYTES) {',
    changes: ['name.length * 3 > MAX_NAME_BYTES → true'],
    why: 'The first half only saves the second where it cannot be true.',
  },
  {
    file: 'src/membership/memberlist/wire/stream-decoder.ts',
    code: "if (!isRingmanError(error) || error.code !== 'WIRE_MALFORMED') throw error",
    changes: ["!isRingmanError(error) || error.code !== 'WIRE_MALFORMED' → false"],
    why: 'Nothing else is thrown there.',
  },
  {
    file: 'src/membership/memberlist/wire/lzw.ts',
    code: 'if (end > output.length) output = grownTo(output, end, this.#maxBytes)',
    changes: ['end > output.length → end >= output.length'],
    why: 'It only grows a byte sooner.',
  },
  {
    file: 'src/membership/memberlist/wire/lzw.ts',
    code: 'this.#output = new Uint8Array(Math.min(maxBytes, 64 + input.length * 3))',
    changes: ['input.length * 3 → input.length / 3', '3 → (3 + 1)', '64 → (64 + 1)'],
    why: 'The first size is a guess; it grows as needed.',
  },
  {
    file: 'src/membership/memberlist/wire/lzw.ts',
    code: 'this.#starts = new Uint32Array(Math.min(MAX_ENTRIES, Math.ceil((input.length * 8) / MIN_WIDTH)) + 1)',
    changes: ['min → max', '(input.length * 8) / MIN_WIDTH → (input.length * 8) * MIN_WIDTH'],
    why: 'It has more room than it needs.',
  },
  {
    file: 'src/membership/memberlist/wire/lzw.ts',
    code: 'bitCount += 8',
    changes: ['bitCount += 8 → ;'],
    why: 'With the last byte only the end code can come whole; whatever else it is, the data is cut off.',
  },
  {
    file: 'src/membership/memberlist/wire/lzw.ts',
    code: 'if (code < CLEAR_CODE) {',
    changes: ['code < CLEAR_CODE → code <= CLEAR_CODE'],
    why: 'The code that empties the table does not come here.',
  },
  {
    file: 'src/membership/memberlist/wire/lzw.ts',
    code: 'if (length >= LONG_COPY_BYTES && start + length <= written) {',
    changes: [
      'length >= LONG_COPY_BYTES → length < LONG_COPY_BYTES',
      'length >= LONG_COPY_BYTES → length > LONG_COPY_BYTES',
      'length >= LONG_COPY_BYTES → true',
      'length >= LONG_COPY_BYTES → false',
      'length >= LONG_COPY_BYTES && start + length <= written → false',
      'start + length <= written → start + length < written',
      'start + length <= written → false',
    ],
    why: 'Both ways copy the same where the two places do not overlap.',
  },
  {
    file: 'src/membership/memberlist/wire/lzw.ts',
    code: 'const LONG_COPY_BYTES = 24',
    changes: ['24 → (24 + 1)'],
    why: 'It only decides which of two ways is quicker.',
  },
  {
    file: 'src/membership/memberlist/wire/lzw.ts',
    code: 'const grown = new Uint8Array(Math.min(maxBytes, Math.max(needed, output.length * 2)))',
    changes: ['2 → (2 + 1)', 'output.length * 2 → output.length / 2'],
    why: 'It has the room that is needed; how much more is a matter of speed.',
  },
  {
    file: 'src/membership/memberlist/wire/lzw.ts',
    code: 'this.#output = new Uint8Array(16 + Math.ceil(inputBytes * 1.51))',
    changes: ['16 → (16 + 1)', '1.51 → (1.51 + 1)'],
    why: 'It has more room than it needs.',
  },
  {
    file: 'src/membership/memberlist/wire/lzw.ts',
    code: 'this.#codes = new Uint16Array(1 << sizeBits)',
    changes: ['1 → (1 + 1)'],
    why: 'It has more room than it needs.',
  },
  {
    file: 'src/membership/memberlist/wire/lzw.ts',
    code: 'this.#shift = 32 - sizeBits',
    changes: ['this.#shift = 32 - sizeBits → ;'],
    why: 'Each string is sought from the first slot on: slower, and with the same codes.',
  },
  {
    file: 'src/membership/memberlist/wire/packet-decoder.ts',
    code: "return isRingmanError(error) && error.code === 'WIRE_MALFORMED'",
    changes: ["error.code === 'WIRE_MALFORMED' → true"],
    why: 'No other error of ours is thrown there.',
  },
  {
    file: 'src/membership/memberlist/wire/encryption.ts',
    code: 'const decipher = createDecipheriv(algorithm, createSecretKey(key), nonce, { authTagLength: TAG_BYTES })',
    changes: ['{ authTagLength: TAG_BYTES } → {}'],
    why: 'The tag that is set has so many bytes.',
  },
  {
    file: 'src/membership/memberlist/wire/stream-decoder.ts',
    code: 'if (this.#start === undefined) {',
    changes: ['this.#start === undefined → true'],
    why: 'The label that is still there is read again.',
  },
  {
    file: 'src/membership/memberlist/wire/packet-decoder.ts',
    code: 'const [type = 0xff, map = 0, key = 0, letter = 0] = bytes',
    changes: ['0xff → (0xff + 1)'],
    why: 'Both are above every type that there is.',
  },
  {
    file: 'src/membership/memberlist/wire/record.ts',
    code: 'guess = index + 1',
    changes: ['1 → (1 + 1)', 'index + 1 → index - 1', 'guess = index + 1 → ;'],
    why: 'The names are looked through all the same; the guess is only quicker.',
  },
  {
    file: 'src/membership/memberlist/wire/stream-decoder.ts',
    code: "if (message?.kind === 'ping' || message?.kind === 'ack') return this.#decoded(message)",
    changes: [
      '?. → .',
      "message?.kind === 'ack' → true",
      "message?.kind === 'ping' || message?.kind === 'ack' → true",
    ],
    why: 'No other kinds come here: the compiler does not know.',
  },
  {
    file: 'src/membership/memberlist/wire/msgpack-writer.ts',
    code: 'this.#reserve(2)',
    changes: ['2 → (2 + 1)'],
    why: 'It has more room than it needs.',
  },
  {
    file: 'src/ring/hash-ring.ts',
    code: 'const FEW = 16',
    changes: ['16 → (16 + 1)'],
    why: 'It only decides which of two ways is quicker.',
  },
  {
    file: 'src/ring/hash-ring.ts',
    code: 'const seen = limit <= FEW ? undefined : new Uint8Array(this.nodes.length)',
    changes: [
      'limit <= FEW → limit < FEW',
      'limit <= FEW → limit > FEW',
      'limit <= FEW → true',
      'limit <= FEW → false',
    ],
    why: 'Both ways find the same; one is quicker for few owners.',
  },
  {
    file: 'src/ring/hash-ring.ts',
    code: 'if (!(seen === undefined ? found.includes(node) : seen[owner] === 1) && !table.isCovered(at)) {',
    changes: ['seen === undefined → true'],
    why: 'Both ways find the same; one is quicker for few owners.',
  },
  {
    file: 'src/ring/point-table.ts',
    code: 'for (let i = 0; i < points.length; i++) {',
    changes: ['i < points.length → i <= points.length'],
    why: 'Behind the last point there is no owner to add to.',
  },
  {
    file: 'src/ring/key-hash.ts',
    code: `if (typeof key !== 'string') return md5Word(key)`,
    changes: [`'string' → ''`, `typeof key !== 'string' → true`],
    why: 'The long way round gives the same hash.',
  },
  {
    file: 'src/ring/key-hash.ts',
    code: 'if (length > ONE_BLOCK_LENGTH) return md5Word(key)',
    changes: ['length > ONE_BLOCK_LENGTH → length >= ONE_BLOCK_LENGTH', 'length > ONE_BLOCK_LENGTH → true'],
    why: 'The long way round gives the same hash.',
  },
  {
    file: 'src/ring/key-hash.ts',
    code: 'for (; at < length; at++) {',
    changes: ['at < length → at <= length'],
    why: 'Behind the end of a text there is NaN, which sets no bit.',
  },
  {
    file: 'src/ring/md5.ts',
    code: 'const textBytes = new Uint8Array(4096)',
    changes: ['4096 → (4096 + 1)'],
    why: 'Longer texts get an array of their own.',
  },
  {
    file: 'src/ring/md5.ts',
    code: 'let a = a0, b = b0, c = c0, d = d0, t = 0',
    changes: ['0 → (0 + 1)'],
    why: 'It is set before it is read.',
  },
  {
    file: 'src/ring/node.ts',
    code: 'return unit < 0xe000 ? unit + 0x2000 : unit - 0x800',
    changes: ['0x2000 → (0x2000 + 1)', '0x800 → (0x800 + 1)'],
    why: 'The two ranges lie apart all the same, each in its order.',
  },
  {
    file: 'src/ring/point-list.ts',
    code: 'const RADIX_BITS = 11',
    changes: ['11 → (11 + 1)'],
    why: 'Three digits of 12 bits hold a point, too.',
  },
  {
    file: 'src/ring/point-list.ts',
    code: 'for (let digit = 0; digit < starts.length; digit++) {',
    changes: ['digit < starts.length → digit <= starts.length'],
    why: 'What is written behind the end of a typed array is not kept.',
  },
  {
    file: 'src/ring/point-merge.ts',
    code: 'const goneAt = nextGone < gone.points.length ? seekGone(kept, gone, nextGone, from) : end',
    changes: ['nextGone < gone.points.length → nextGone <= gone.points.length'],
    why: 'A point that is not there is sought up to the end, and not found.',
  },
  {
    file: 'src/ring/point-merge.ts',
    code: 'if (place > ownPlace && place !== FREE) break',
    changes: ['place > ownPlace → place >= ownPlace'],
    why: 'No node comes to a point that it has.',
  },
  {
    file: 'src/ring/point-merge.ts',
    code: 'while (low + leap <= points.length && points[low + leap - 1]! < point) {',
    changes: ['low + leap <= points.length → low + leap < points.length'],
    why: 'Leaps of another length lead to the same place.',
  },
  {
    file: 'src/ring/point-merge.ts',
    code: 'let leap = 1',
    changes: ['1 → (1 + 1)'],
    why: 'Leaps of another length lead to the same place.',
  },
  {
    file: 'src/ring/point-merge.ts',
    code: 'leap *= 2',
    changes: ['2 → (2 + 1)'],
    why: 'Leaps of another length lead to the same place.',
  },
  {
    file: 'src/ring/point-merge.ts',
    code: 'const SHORT_RUN = 64',
    changes: ['64 → (64 + 1)'],
    why: 'It only decides which of two ways is quicker.',
  },
  {
    file: 'src/ring/point-merge.ts',
    code: 'if (until - from >= SHORT_RUN) {',
    changes: [
      'until - from >= SHORT_RUN → until - from > SHORT_RUN',
      'until - from >= SHORT_RUN → until - from < SHORT_RUN',
      'until - from >= SHORT_RUN → true',
      'until - from >= SHORT_RUN → false',
      'until - from → until + from',
    ],
    why: 'Both ways copy the same.',
  },
  {
    file: 'src/ring/point-table.ts',
    code: 'for (let slot = this.#places.length - 1; slot >= 0; slot--) {',
    changes: ['this.#places.length - 1 → this.#places.length + 1'],
    why: 'Behind the last slot there is nothing to list.',
  },
  {
    file: 'src/ring/point-table.ts',
    code: 'const isMostlyNew = countDigests(gone) + countDigests(come) >= digests',
    changes: [
      'countDigests(gone) + countDigests(come) >= digests → countDigests(gone) + countDigests(come) > digests',
      'countDigests(gone) + countDigests(come) >= digests → false',
      'countDigests(gone) + countDigests(come) → countDigests(gone) - countDigests(come)',
    ],
    why: 'A table made from nothing is the same as one merged; one is quicker.',
  },
  {
    file: 'src/ring/point-table.ts',
    code: 'shift === this.#sliceShift',
    changes: ['shift === this.#sliceShift → false'],
    why: 'Counted or adjusted, the index is the same; one is quicker.',
  },
  {
    file: 'src/ring/md5.ts',
    code: 'for (let i = whole + 1; i < 16; i++) words[i] = 0',
    changes: ['i < 16 → i <= 16'],
    why: 'What is written behind the end of a typed array is not kept.',
  },
  {
    file: 'src/ring/slices.ts',
    code: 'let slice = 0',
    changes: ['0 → (0 + 1)'],
    why: 'No point lies before the first slice, whatever comes and goes.',
  },
  {
    file: 'src/ring/slices.ts',
    code: 'const goneSlice = nextGone < gone.length ? gone[nextGone]! >>> shift : adjusted.length - 1',
    changes: ['adjusted.length - 1 → adjusted.length + 1'],
    why: 'What is written behind the end of a typed array is not kept, and the loop ends there.',
  },
  {
    file: 'src/ring/slices.ts',
    code: 'const comeSlice = nextCome < come.length ? come[nextCome]! >>> shift : adjusted.length - 1',
    changes: ['adjusted.length - 1 → adjusted.length + 1'],
    why: 'What is written behind the end of a typed array is not kept, and the loop ends there.',
  },
  {
    file: 'src/manager/hash-ring-manager.ts',
    code: `this.#state = 'stopped'`,
    changes: [`'stopped' → ''`],
    why: 'Only the other two states are asked for.',
  },
  {
    file: 'src/membership/member-set.ts',
    code: `return a.name < b.name ? -1 : 1`,
    changes: ['a.name < b.name → a.name <= b.name', '1 → (1 + 1)'],
    why: 'No two members have one name, and only the sign counts.',
  },
  {
    file: 'src/membership/member.ts',
    code: '} catch {',
    changes: ['{ return undefined } → {}'],
    why: 'What did not parse is undefined, which is no metadata either.',
  },
  {
    file: 'src/membership/placement.ts',
    code: 'if (metadata === undefined || ringKey === undefined || nodes.has(ringKey)) continue',
    changes: [
      'metadata === undefined || ringKey === undefined → metadata === undefined && ringKey === undefined',
      'metadata === undefined → false',
      'ringKey === undefined → false',
    ],
    why: 'A member without metadata has no ring key: the compiler needs both, at run time either will do.',
  },
  {
    file: 'src/membership/advertised-address.ts',
    code: "return own.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')",
    changes: ["'ipv6' → ''"],
    why: 'Node.js takes no family for IPv6 here.',
  },
  {
    file: 'src/membership/placement.ts',
    code: 'weight: (isMoved ? handover?.weight : undefined) ?? metadata.weight ?? 1,',
    changes: ['?. → .'],
    why: 'Whose move is over has one.',
  },
  {
    file: 'src/membership/placement.ts',
    code: "const isPending: IsDone = ({ metadata }) => metadata?.handover?.phase === 'pending'",
    changes: ['?. → .'],
    why: 'Only members with metadata are asked for.',
  },
  {
    file: 'src/membership/placement.ts',
    code: 'return WEIGHT_SPAN * (weights[(weights.length - 1) >> 1] ?? 1)',
    changes: ['weights[(weights.length - 1) >> 1] ?? 1 → weights[(weights.length - 1) >> 1]', '1 → (1 + 1)'],
    why: 'Without weights there is no node that it could bound.',
  },
  {
    file: 'src/membership/placement.ts',
    code: 'return nodes.map((node) => (node.weight > most ? { ...node, weight: most } : node))',
    changes: ['node.weight > most → node.weight >= most'],
    why: 'At the bound it is as heavy as it may be.',
  },
  {
    file: 'src/membership/memberlist/protocol/protocol.ts',
    code: '#lostMs = 0',
    changes: ['0 → (0 + 1)'],
    why: 'Where the machine has its own zero does not show.',
  },
  {
    file: 'src/membership/memberlist/protocol/protocol.ts',
    code: 'assertNever(event)',
    changes: ['assertNever(event) → ;'],
    why: 'Nothing comes here: it is for the compiler.',
  },
  {
    file: 'src/membership/memberlist/protocol/protocol.ts',
    code: 'assertNever(message)',
    changes: ['assertNever(message) → ;'],
    why: 'Nothing comes here: it is for the compiler.',
  },
  {
    file: 'src/membership/memberlist/protocol/protocol.ts',
    code: "core.logLimited('warn', 'loop.stalled', 'This process was stalled; the time lost counts against nobody', {",
    changes: ["'loop.stalled' → ''"],
    why: 'The kind of a line has to differ from the other kinds, and does.',
  },
  {
    file: 'src/membership/memberlist/protocol/protocol.ts',
    code: "const isInquiry = first?.kind === 'suspect' && first.node === question.node",
    changes: ['?. → .'],
    why: 'The question is one of the messages, so that there is a first one.',
  },
  {
    file: 'src/membership/memberlist/protocol/protocol.ts',
    code: "const name = message.source?.node ?? ''",
    changes: ["message.source?.node ?? '' → message.source?.node", "'' → 'mutant'"],
    why: 'Where there is no source there is no place, and the name is not asked for.',
  },
]

/** Whether an entry means this mutant: by the text of its line, so that it holds while lines move. */
export function matches({ file, code, changes }: Equivalent, mutant: Mutant): boolean {
  return mutant.file === file && mutant.code === code && changes.includes(mutant.change)
}
