/** Loaded in each thread before anything else: lets a test have it hang, or fail. */
import { isMainThread, workerData } from 'node:worker_threads'

if (!isMainThread) {
  const channel = new BroadcastChannel('failing-thread')
  channel.onmessage = ({ data }) => {
    const { place, how } = data as { readonly place: number; readonly how: 'hang' | 'throw' }
    if (place !== (workerData as { readonly place: number }).place) return
    if (how === 'throw') throw new Error('told to fail')
    for (;;);
  }
  // It does not keep the thread alive.
  ;(channel as unknown as { unref: () => void }).unref()
}
