const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 }

/**
 * Alert rules for a Prometheus that scrapes so many times as often as usual: every duration in their YAML is shorter by
 * that. Thresholds are counts and ratios and stay as they are, but for the one that is a time.
 */
export function shortenRules(yaml: string, times: number): string {
  return yaml
    .replace(
      /(?<=(?:interval: |for: |offset |[[:]))(\d+)([smh])\b/g,
      (_, count: string, unit: string) => `${(Number(count) * (SECONDS[unit] ?? NaN)) / times}s`,
    )
    .replace(/(?<=staleness_seconds\) > )\d+/g, (seconds) => String(Number(seconds) / times))
}
