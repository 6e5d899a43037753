import { FakeSource, fakeMember } from '../support/fake-source.ts'
import { describeSourceContract } from './source-contract.ts'

describeSourceContract(
  'FakeSource',
  () => {
    const sources: FakeSource[] = []
    return {
      create() {
        const source = new FakeSource([fakeMember('self', '10.0.0.1')], { selfName: 'self' })
        sources.push(source)
        return source
      },
      addMember(name) {
        for (const source of sources) source.set([...source.members, fakeMember(name, '10.0.0.2')])
        return Promise.resolve()
      },
      removeMember(name) {
        for (const source of sources) source.set(source.members.filter((member) => member.name !== name))
        return Promise.resolve()
      },
      killMember(name) {
        for (const source of sources) source.set(source.members.filter((member) => member.name !== name))
        return Promise.resolve()
      },
      advance: () => Promise.resolve(),
      openResources: () => 0,
      async close() {
        for (const source of sources) await source.stop()
      },
    }
  },
  { self: true, add: true, remove: true, kill: true, seen: false },
)
