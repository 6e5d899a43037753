// `node test/support/run-api-server.ts CONTROLLER…` runs a real API server until Ctrl-C, to look at it by hand.
import { once } from 'node:events'
import { ApiServer } from './api-server.ts'

const server = await ApiServer.start({ controllers: process.argv.slice(2) })
process.stdout.write(`export KUBECONFIG=${server.kubeconfig}\n`)
await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
await server.stop()
