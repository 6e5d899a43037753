import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'

const TYPE = { A: 1, AAAA: 28, SRV: 33 } as const

export type RecordData = { readonly type: keyof typeof TYPE; readonly data: Buffer }

/** A record of that type. */
export const a = (address: string): RecordData => ({
  type: 'A',
  data: Buffer.from(address.split('.').map(Number)),
})
/** A record of that type. */
export const aaaa = (hex: string): RecordData => ({ type: 'AAAA', data: Buffer.from(hex, 'hex') })
/** A record of that type. */
export const srv = (port: number, target: string): RecordData => {
  const head = Buffer.alloc(6)
  head.writeUInt16BE(port, 4)
  return { type: 'SRV', data: Buffer.concat([head, wireName(target)]) }
}

function wireName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '')
  return Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
    Buffer.from([0]),
  ])
}

/** A DNS server on loopback that answers from a table: a list of records, an RCODE, or silence. */
export class TinyDnsServer {
  readonly zone = new Map<string, readonly RecordData[] | number | 'silence'>()
  readonly asked: string[] = []
  readonly #socket: Socket = createSocket('udp4')

  async listen(): Promise<string> {
    this.#socket.on('message', (query, { port, address }) => {
      const answer = this.#answer(query)
      if (answer !== undefined) this.#socket.send(answer, port, address)
    })
    this.#socket.bind(0, '127.0.0.1')
    await once(this.#socket, 'listening')
    return `127.0.0.1:${this.#socket.address().port}`
  }

  close(): void {
    this.#socket.close()
  }

  #answer(query: Buffer): Buffer | undefined {
    const labels: string[] = []
    let offset = 12
    for (let length = query.readUInt8(offset); length > 0; length = query.readUInt8(offset)) {
      labels.push(query.toString('latin1', offset + 1, offset + 1 + length))
      offset += length + 1
    }
    const type = query.readUInt16BE(offset + 1)
    const question = query.subarray(12, offset + 5)
    const name = labels.join('.').toLowerCase()
    this.asked.push(name)
    const found = this.zone.get(name) ?? 3
    if (found === 'silence') return undefined
    const records = typeof found === 'number' ? [] : found.filter((record) => TYPE[record.type] === type)
    const header = Buffer.alloc(12)
    query.copy(header, 0, 0, 2)
    header.writeUInt16BE(0x8180 | (typeof found === 'number' ? found : 0), 2)
    header.writeUInt16BE(1, 4)
    header.writeUInt16BE(records.length, 6)
    const answers = records.map((record) => {
      const head = Buffer.alloc(12)
      head.writeUInt16BE(0xc00c, 0)
      head.writeUInt16BE(type, 2)
      head.writeUInt16BE(1, 4)
      head.writeUInt32BE(5, 6)
      head.writeUInt16BE(record.data.length, 10)
      return Buffer.concat([head, record.data])
    })
    return Buffer.concat([header, question, ...answers])
  }
}
