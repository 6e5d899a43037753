import { beforeEach, describe, expect, test } from 'vitest'
import type { EndpointsView } from '../../../src/membership/kubernetes/endpoints.ts'
import { PlaceKeeper } from '../../../src/membership/kubernetes/place-keeper.ts'
import { finish } from '../../../src/ring/steps.ts'
import { PHASES } from './slice-fixtures.ts'

type Seen = keyof typeof PHASES | 'absent'

/** What the slices say of one pod, `a`; `no slices` when there are none. */
function view(seen: Seen | 'no slices', uid = 'u1', address = '10.0.0.1'): EndpointsView {
  const present = seen !== 'absent' && seen !== 'no slices'
  const { serving, terminating } = present ? PHASES[seen] : PHASES.unready
  const endpoint = { name: 'a', uid, address, port: 8000, zone: undefined, serving, terminating }
  return {
    endpoints: new Map(present ? [['a', endpoint]] : []),
    sliceCount: seen === 'no slices' ? 0 : 1,
    family: 'IPv4',
    otherPorts: [],
    portlessCount: 0,
    hostNameSlices: 0,
  }
}

let keeper: PlaceKeeper

beforeEach(() => {
  keeper = new PlaceKeeper(30_000)
})

const observe = (seen: EndpointsView, nowMs: number) => {
  finish(keeper.observe(seen, nowMs))
}

const state = () => keeper.places.get('a')?.state

describe('a pod that restarts', () => {
  test('keeps its place for the hold, then loses it, and is listed as dead', () => {
    observe(view('serving'), 0)
    expect(state()).toBe('alive')
    observe(view('unready'), 10_000)
    expect(state()).toBe('suspect')
    expect(keeper.nextDueMs).toBe(40_000)
    finish(keeper.expire(39_999))
    expect(state()).toBe('suspect')
    finish(keeper.expire(40_000))
    expect(state()).toBe('dead')
    expect(keeper.nextDueMs).toBe(Infinity)
    observe(view('unready'), 50_000)
    expect(state()).toBe('dead')
    observe(view('serving'), 60_000)
    expect(state()).toBe('alive')
  })

  test('has a new hold each time, and each word in between does not lengthen it', () => {
    observe(view('serving'), 0)
    observe(view('unready'), 1000)
    observe(view('unready'), 20_000)
    expect(keeper.nextDueMs).toBe(31_000)
    observe(view('serving'), 25_000)
    observe(view('unready'), 26_000)
    expect(keeper.nextDueMs).toBe(56_000)
  })

  test('keeps it also with another address, if it is the same pod', () => {
    observe(view('serving'), 0)
    observe(view('unready', 'u1', '10.0.0.2'), 1000)
    expect(keeper.places.get('a')).toMatchObject({ state: 'suspect', endpoint: { address: '10.0.0.2' } })
  })

  test('loses it at once where there is no hold', () => {
    keeper = new PlaceKeeper(0)
    observe(view('serving'), 0)
    observe(view('unready'), 1000)
    expect(state()).toBe('dead')
  })
})

describe('a pod that is deleted', () => {
  test.each(['draining', 'terminating'] as const)('has left at once when it is %s', (phase) => {
    observe(view('serving'), 0)
    observe(view(phase), 1000)
    expect(state()).toBe('left')
    observe(view('absent'), 2000)
    expect(state()).toBeUndefined()
  })

  test('has left also while it was held', () => {
    observe(view('serving'), 0)
    observe(view('unready'), 1000)
    observe(view('terminating'), 2000)
    expect(state()).toBe('left')
    expect(keeper.nextDueMs).toBe(Infinity)
  })

  test('has lost its place when another pod has its name, though nobody said that it went', () => {
    observe(view('serving', 'u1'), 0)
    observe(view('unready', 'u2', '10.0.0.2'), 1000)
    expect(state()).toBeUndefined()
    observe(view('serving', 'u2', '10.0.0.2'), 2000)
    expect(keeper.places.get('a')).toMatchObject({ state: 'alive', endpoint: { address: '10.0.0.2' } })
  })

  test('that comes back under its name with another address takes its place up again', () => {
    observe(view('serving', 'u1'), 0)
    observe(view('terminating', 'u1'), 1000)
    observe(view('unready', 'u2', '10.0.0.2'), 2000)
    expect(state()).toBeUndefined()
    observe(view('serving', 'u2', '10.0.0.2'), 3000)
    expect(state()).toBe('alive')
  })

  test('in no slice any more is gone after a moment, in which it may turn up in another slice', () => {
    observe(view('serving'), 0)
    observe(view('absent'), 1000)
    expect(state()).toBe('alive')
    observe(view('serving'), 1500)
    finish(keeper.expire(2000))
    expect(state()).toBe('alive')
    observe(view('absent'), 3000)
    observe(view('absent'), 3900)
    finish(keeper.expire(4000))
    expect(state()).toBeUndefined()
  })

  test('while held is gone after that moment too, and the hold goes on if it turns up again', () => {
    observe(view('serving'), 0)
    observe(view('unready'), 1000)
    observe(view('absent'), 2000)
    expect(keeper.nextDueMs).toBe(3000)
    observe(view('unready'), 2500)
    expect(keeper.nextDueMs).toBe(31_000)
    expect(state()).toBe('suspect')
  })
})

describe('without any slice', () => {
  test('places are kept for the hold: the Service may come back', () => {
    observe(view('serving'), 0)
    observe(view('no slices'), 1000)
    finish(keeper.expire(30_999))
    expect(state()).toBe('alive')
    finish(keeper.expire(31_000))
    expect(state()).toBeUndefined()
  })

  test('and once there are slices again, those that are not in them go soon', () => {
    observe(view('serving'), 0)
    observe(view('no slices'), 1000)
    observe(view('absent'), 5000)
    finish(keeper.expire(6000))
    expect(state()).toBeUndefined()
  })
})

test('a pod that has never served has no place', () => {
  observe(view('unready'), 0)
  expect(state()).toBeUndefined()
  observe(view('terminating'), 1000)
  expect(state()).toBe('left')
})
