import { flag, index, list, number, object, orNull, text, type Shaped } from './shape.ts'

/** Most nodes of a ring that is taken: making a ring of so many takes some tenths of a second. */
const MAX_RING_NODES = 20_000

const required = { ringKey: text, weight: number }
const optional = { name: text, address: text, port: number, zone: text }
const state = { digest: text, epoch: number }

/** A node as members describe it. */
export const nodeView = object(required, optional)
export type NodeView = Shaped<typeof nodeView>

/** `GET /v1/owner`. */
export const ownerAnswer = object({ owner: nodeView, ...state }, { next: nodeView, unsure: flag })
/** Who owns a key, by which ring. */
export type OwnerAnswer = Shaped<typeof ownerAnswer>

/** `GET /v1/owners`. */
export const ownersAnswer = object({ owners: list(nodeView), ...state }, { next: nodeView, unsure: flag })
/** The first owners of a key, by which ring. */
export type OwnersAnswer = Shaped<typeof ownersAnswer>

/** `POST /v1/owners`: for each key the places of its owners in `nodes`; `next` only during a hand-over. */
export const batchAnswer = object(
  { nodes: list(nodeView), owners: list(list(index)), ...state },
  { next: list(orNull(index)) },
)

/** Why a ring changed to that of an epoch: `docs/http.md` has the causes. */
const change = object({
  epoch: number,
  timeMs: number,
  cause: text,
  node: text,
  count: number,
  movedShare: number,
})

/** `GET /v1/ring` and the events of `/v1/ring/watch`. */
export const ringAnswer = object(
  {
    nodes: list(object({ ...required, share: number }, optional), MAX_RING_NODES),
    sinceChangeMs: number,
    ...state,
  },
  {
    /** In a watch: the last changes, the newest first. */
    changes: list(change, 1000),
    /** Whether the member was stopped or cut off, so that its ring may be old. */
    unsure: flag,
    /** Of a ring that is known by name: puts those of one `uid` in order. */
    version: number,
    uid: text,
  },
)
/** The whole ring. */
export type RingAnswer = Shaped<typeof ringAnswer>

const member = object(
  {
    name: text,
    address: text,
    port: number,
    state: text,
    stateSinceMs: number,
    self: flag,
    ringKey: orNull(text),
    weight: orNull(number),
    zone: orNull(text),
    onRing: flag,
    offRingReason: orNull(object({ code: text, message: text })),
  },
  { handover: text, version: orNull(text) },
)

/** `GET /v1/members`. */
export const membersAnswer = object({
  members: list(member),
  // Older members leave out the condition.
  source: object({ kind: text, ok: flag, message: text }, { condition: text }),
  ...state,
})
/** All members that the asked one knows. */
export type MembersAnswer = Shaped<typeof membersAnswer>

/** `GET /v1/rings`. */
export const ringsAnswer = object({
  rings: list(
    object({
      name: text,
      accepted: flag,
      reason: orNull(text),
      ring: orNull(
        object({
          digest: text,
          fingerprint: text,
          version: orNull(number),
          nodes: number,
          ringKey: text,
          held: number,
          braked: flag,
          condition: text,
          ok: flag,
          message: text,
        }),
      ),
    }),
    100_000,
  ),
})
export type RingsAnswer = Shaped<typeof ringsAnswer>

/** `GET /v1/plan`. */
export const planAnswer = object({
  before: text,
  after: text,
  movedShare: number,
  moves: list(object({ from: orNull(text), to: orNull(text), share: number })),
})
/** What a change of the ring would move. */
export type PlanAnswer = Shaped<typeof planAnswer>
