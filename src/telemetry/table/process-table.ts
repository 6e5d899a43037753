import type { Metric } from '../metric.ts'

/** The process. The unprefixed names are those that every exporter has, so that common dashboards show them. */
export const PROCESS_METRICS = {
  buildInfo: {
    name: 'ringman_build_info',
    kind: 'gauge',
    labels: { version: "ringman's version.", node_version: 'The version of Node.js.' },
    meaning: 'Always 1; the labels say what runs.',
    query: 'count by (namespace, version) (ringman_build_info)',
    scope: 'process',
  },
  eventLoopDelay: {
    name: 'ringman_event_loop_delay_seconds',
    kind: 'histogram',
    unit: 'seconds',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
    meaning: 'How late the event loop was for a timer of 10 ms, sampled all the time.',
    reading:
      'Everything waits so long: look-ups, gossip, probes. 1 or 2 ms is the resolution of the timer; tens of ms are garbage collection or large requests; more is CPU throttling.',
    query: 'histogram_quantile(0.99, sum by (pod, le) (rate(ringman_event_loop_delay_seconds_bucket[5m])))',
    scope: 'process',
  },
  eventLoopActive: {
    name: 'ringman_event_loop_active_seconds_total',
    kind: 'counter',
    unit: 'seconds',
    meaning: 'Time in which the event loop was busy.',
    reading: 'Its rate is the utilization, from 0 to 1. Above 0.7, add pods.',
    query: 'rate(ringman_event_loop_active_seconds_total[5m])',
    scope: 'process',
  },
  processCpu: {
    name: 'process_cpu_seconds_total',
    kind: 'counter',
    unit: 'seconds',
    meaning: 'CPU time of the process, user and system.',
    scope: 'process',
  },
  processStartTime: {
    name: 'process_start_time_seconds',
    kind: 'gauge',
    unit: 'seconds',
    meaning: 'When the process started, in seconds since the Unix epoch.',
    query: 'time() - process_start_time_seconds',
    scope: 'process',
  },
  processResidentMemory: {
    name: 'process_resident_memory_bytes',
    kind: 'gauge',
    unit: 'bytes',
    meaning: 'Resident memory of the process.',
    scope: 'process',
  },
  processOpenFds: {
    name: 'process_open_fds',
    kind: 'gauge',
    meaning: 'Open file descriptors, sockets among them; only on Linux.',
    scope: 'process',
  },
  processMaxFds: {
    name: 'process_max_fds',
    kind: 'gauge',
    meaning: 'File descriptors that the process may open; only on Linux, and only where there is a limit.',
    scope: 'process',
  },
  nodejsHeapUsed: {
    name: 'nodejs_heap_size_used_bytes',
    kind: 'gauge',
    unit: 'bytes',
    meaning: 'Bytes used of the JavaScript heap.',
    scope: 'process',
  },
  nodejsHeapTotal: {
    name: 'nodejs_heap_size_total_bytes',
    kind: 'gauge',
    unit: 'bytes',
    meaning: 'Bytes that the JavaScript heap has.',
    scope: 'process',
  },
  nodejsExternalMemory: {
    name: 'nodejs_external_memory_bytes',
    kind: 'gauge',
    unit: 'bytes',
    meaning: 'Memory outside the heap that JavaScript objects hold, buffers among them.',
    scope: 'process',
  },
} as const satisfies Record<string, Metric>
