import { rowsWith } from '../metric.ts'

/** The process. The unprefixed names are those that every exporter has, so that common dashboards show them. */
export const PROCESS_METRICS = rowsWith({ scope: 'process' })({
  buildInfo: {
    name: 'ringman_build_info',
    labels: { version: "ringman's version.", node_version: 'The version of Node.js.' },
    meaning: 'Always 1; the labels say what runs.',
    query: 'count by (namespace, version) (ringman_build_info)',
  },
  eventLoopDelay: {
    name: 'ringman_event_loop_delay_seconds',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
    meaning: 'How late the event loop was for a timer of 10 ms, sampled all the time.',
    reading:
      'Everything waits so long: look-ups, gossip, probes. 1 or 2 ms is the resolution of the timer; tens of ms are garbage collection or large requests; more is CPU throttling.',
    query: 'histogram_quantile(0.99, sum by (pod, le) (rate(ringman_event_loop_delay_seconds_bucket[5m])))',
  },
  eventLoopActive: {
    name: 'ringman_event_loop_active_seconds_total',
    meaning: 'Time in which the event loop was busy.',
    reading: 'Its rate is the utilization, from 0 to 1. Above 0.7, add pods.',
    query: 'rate(ringman_event_loop_active_seconds_total[5m])',
  },
  processCpu: { name: 'process_cpu_seconds_total', meaning: 'CPU time of the process, user and system.' },
  processStartTime: {
    name: 'process_start_time_seconds',
    meaning: 'When the process started, in seconds since the Unix epoch.',
    query: 'time() - process_start_time_seconds',
  },
  processResidentMemory: {
    name: 'process_resident_memory_bytes',
    meaning: 'Resident memory of the process.',
  },
  processOpenFds: {
    name: 'process_open_fds',
    meaning: 'Open file descriptors, sockets among them; only on Linux.',
  },
  processMaxFds: {
    name: 'process_max_fds',
    meaning: 'File descriptors that the process may open; only on Linux, and only where there is a limit.',
  },
  nodejsHeapUsed: { name: 'nodejs_heap_size_used_bytes', meaning: 'Bytes used of the JavaScript heap.' },
  nodejsHeapTotal: { name: 'nodejs_heap_size_total_bytes', meaning: 'Bytes that the JavaScript heap has.' },
  nodejsExternalMemory: {
    name: 'nodejs_external_memory_bytes',
    meaning: 'Memory outside the heap that JavaScript objects hold, buffers among them.',
  },
})
