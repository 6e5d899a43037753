import { z } from 'zod'

// Fields that this version does not know are left out, so that a newer member can say more.

const node = z.object({
  ringKey: z.string(),
  weight: z.number(),
  name: z.string().optional(),
  address: z.string().optional(),
  port: z.number().optional(),
  zone: z.string().optional(),
})

const state = { digest: z.string(), epoch: z.number() }

/** A node as members describe it. */
export type NodeView = z.infer<typeof node>

/** `GET /v1/owner`. */
export const ownerAnswer = z.object({ owner: node, ...state })
/** Who owns a key, by which ring. */
export type OwnerAnswer = z.infer<typeof ownerAnswer>

/** `GET /v1/owners`. */
export const ownersAnswer = z.object({ owners: z.array(node), ...state })
/** The first owners of a key, by which ring. */
export type OwnersAnswer = z.infer<typeof ownersAnswer>

/** `POST /v1/owners`: for each key the places of its owners in `nodes`. */
export const batchAnswer = z.object({
  nodes: z.array(node),
  owners: z.array(z.array(z.int().nonnegative())),
  ...state,
})

/** `GET /v1/ring` and the events of `/v1/ring/watch`. */
export const ringAnswer = z.object({
  nodes: z.array(node.extend({ share: z.number() })),
  sinceChangeMs: z.number(),
  ...state,
})
/** The whole ring. */
export type RingAnswer = z.infer<typeof ringAnswer>

/** `GET /v1/members`. */
export const membersAnswer = z.object({
  members: z.array(
    z.object({
      name: z.string(),
      address: z.string(),
      port: z.number(),
      state: z.string(),
      stateSinceMs: z.number(),
      self: z.boolean(),
      ringKey: z.string().nullable(),
      weight: z.number().nullable(),
      zone: z.string().nullable(),
      onRing: z.boolean(),
      offRingReason: z.object({ code: z.string(), message: z.string() }).nullable(),
    }),
  ),
  source: z.object({
    kind: z.string(),
    /** Left out by older members. */
    condition: z.string().optional(),
    ok: z.boolean(),
    message: z.string(),
  }),
  ...state,
})
/** All members that the asked one knows. */
export type MembersAnswer = z.infer<typeof membersAnswer>

/** `GET /v1/plan`. */
export const planAnswer = z.object({
  before: z.string(),
  after: z.string(),
  movedShare: z.number(),
  moves: z.array(z.object({ from: z.string().nullable(), to: z.string().nullable(), share: z.number() })),
})
/** What a change of the ring would move. */
export type PlanAnswer = z.infer<typeof planAnswer>
