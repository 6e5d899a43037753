/** What `docs/metrics.md` says before the table. */
export const DOCUMENT_INTRODUCTION = `# Metrics

Every process serves its metrics at \`/metrics\` of the admin port (8081), in Prometheus's text format, or in OpenMetrics
for scrapers that ask for it by \`Accept\`, as Prometheus does. (It keeps the exemplars only when its
feature \`exemplar-storage\` is on.) This page is made from the table of the metrics (\`src/telemetry/metrics.ts\`).

\`\`\`yaml
# prometheus.yml, where no operator does it
scrape_configs:
  - job_name: ringman
    static_configs:
      - targets: ['ringman-0.ringman-gossip:8081']
\`\`\`

## Where to look first

1. **Do the pods agree?** \`count(count by (digest) (ringman_ring_info))\` is 1. More for longer than a few seconds: some
   pods do not hear others. \`ringman_members\` says on which pods somebody is missing.
2. **Is everybody on the ring?** \`sum by (pod) (ringman_members{state=~"alive|suspect"})\` is the number of pods, on each.
3. **What changed?** \`ringman_ring_changes_total\` by cause. \`left\` with \`joined\` is a rollout; \`dead\` is a crash, or a
   network that lost packets: see \`ringman_gossip_probes_total\` and \`ringman_gossip_refutations_total\`.
4. **Are look-ups answered?** \`ringman_lookups_total\` by result, \`ringman_lookup_duration_seconds\`.
5. **Is the process well?** \`ringman_event_loop_delay_seconds\`: when it is high, everything above follows from it.

A pod that starts joins a ring of one and then the others', which counts as changes and moved keys of its own view. To
see what a change cost the cluster, take the median over pods.

## What they promise

- **Bounded.** There is no series for a key, a client, a path that is not there, or another member. Whatever is sent to
  a process, it serves no more than a fixed number of series; with \`--hash-rings\` ten more for each HashRing, of 2,000
  HashRings at most.
- **Departed members leave nothing behind**, because no series bears the name of a member: a pod's series go with the
  pod, those of a HashRing with the HashRing, and the digest that was is served no longer.
- **Counters are there from the start**, at 0, so that the first increase shows. \`ringman_http_requests_total\` is the
  exception: its series come with their first request.
- **Not served is not 0.** Where a value does not exist (the staleness of a source that nobody has confirmed yet), there
  is no series.
- **Names and labels are an interface.** They change only with an entry in the changelog.

## What they cost

Metrics add 0.3 µs of CPU time to a look-up, 0.3 µs more or less (two standard errors): 2 % of what it cost there.
\`npm run bench:http\` measures it on one process with metrics and without, asked in turns, and scraped ten times as often as
Prometheus does (two busy cores of a shared virtual machine, AMD EPYC, Node 24, \`GET /v1/owner\`).

A scrape takes about 3 ms of CPU time, and gives 24 KB with the source \`memberlist\`.

## In a program of your own

\`ring.metrics()\` gives a ring's metrics as text; what belongs to the process is left to the program. See
[library.md](library.md#metrics). Where several rings live in a process, each has its own, and \`labels\` tells them apart.
`
