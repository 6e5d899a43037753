import { vi } from 'vitest'
import { openUdpSocket, type OpenGossipSocket } from '../../src/membership/swim/gossip-socket.ts'
import { SwimSource } from '../../src/membership/swim/swim-source.ts'
import type { Seed } from '../../src/seeds/seed.ts'
import { TurnClock } from '../support/turn-clock.ts'
import { gossipingMembers } from './gossiping-members.ts'
import { describeSourceContract } from './source-contract.ts'
import { LOOPBACK } from '../support/loopback.ts'

describeSourceContract(
  'SwimSource',
  () => {
    const clock = new TurnClock()
    // The library has timers of its own, which go on with the clock.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] })
    const turn = () => {
      vi.advanceTimersByTime(1)
      next = setImmediate(turn)
    }
    let next = setImmediate(turn)
    let openSockets = 0
    const openSocket: OpenGossipSocket = async (bindHost, port, handlers) => {
      const socket = await openUdpSocket(bindHost, port, handlers)
      openSockets += 1
      let open = true
      return {
        port: socket.port,
        send: (bytes, host) => {
          socket.send(bytes, host)
        },
        async close() {
          await socket.close()
          if (open) openSockets -= 1
          open = false
        },
      }
    }
    const sources: SwimSource[] = []

    const make = (name: string, seeds: readonly Seed[], counted: boolean, gossipPort = 0) => {
      const source = new SwimSource({
        ...LOOPBACK,
        gossipPort,
        name,
        seeds,
        clock: counted ? clock : new TurnClock(),
        ...(counted ? { openSocket } : {}),
      })
      if (counted) sources.push(source)
      return source
    }
    const harness = gossipingMembers(sources, (name, seeds, port) => make(name, seeds, false, port))
    const stopAll = async () => {
      await harness.close()
      clearImmediate(next)
      vi.useRealTimers()
    }
    return {
      create: () => make(`m-self-${sources.length}`, [], true),
      ...harness,
      advance: (ms) => clock.advance(ms),
      openResources: () => clock.pendingTimers + openSockets,
      close: stopAll,
    }
  },
  { self: true, add: true, remove: true, kill: true, seen: true },
)
