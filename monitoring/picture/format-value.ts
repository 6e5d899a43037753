/** A value as Grafana writes it with a unit; units that the pages do not use are written like plain numbers. */
export function formatValue(value: number, unit: string, decimals?: number): string {
  switch (unit) {
    case 'percentunit':
      return `${(value * 100).toFixed(decimals ?? (Math.abs(value) < 0.1 ? 1 : 0))} %`
    case 's':
      return formatSeconds(value)
    case 'bytes':
      return scaled(value, 1024, ['B', 'KiB', 'MiB', 'GiB'])
    case 'Bps':
      return scaled(value, 1000, ['B/s', 'kB/s', 'MB/s', 'GB/s'])
    case 'reqps':
      return `${plain(value, decimals)} req/s`
    case 'cps':
      return `${plain(value, decimals)} /s`
    default:
      return plain(value, decimals)
  }
}

function plain(value: number, decimals?: number): string {
  if (decimals !== undefined) return value.toFixed(decimals)
  return Number(value.toPrecision(3)).toString()
}

function formatSeconds(value: number): string {
  const size = Math.abs(value)
  if (size === 0) return '0 s'
  if (size < 1e-3) return `${plain(value * 1e6)} µs`
  if (size < 1) return `${plain(value * 1e3)} ms`
  if (size < 120) return `${plain(value)} s`
  return size < 7200 ? `${plain(value / 60)} min` : `${plain(value / 3600)} h`
}

function scaled(value: number, base: number, units: readonly string[]): string {
  let rest = value
  let index = 0
  while (Math.abs(rest) >= base && index < units.length - 1) {
    rest /= base
    index += 1
  }
  return `${plain(rest)} ${units[index]}`
}
