// Asks the registry for known vulnerabilities of what is shipped: `npm run audit`. Ends with 1 for one of high or critical
// severity that audit-exceptions.json does not explain, and for an exception that is over or that nothing needs any more.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A registry that can't be reached is not waited for. */
const ANSWER_MS = 60_000;
const HIGH = new Set(['high', 'critical']);

/** As `npm audit --json` prints it, as far as it is read here. */
export interface AuditReport {
  readonly error?: unknown;
  readonly vulnerabilities?: Readonly<Record<string, Vulnerable>>;
}

interface Vulnerable {
  readonly name: string;
  readonly severity: string;
  /** Advisories, or the names of packages by which it is affected. */
  readonly via: readonly (string | { readonly title: string; readonly url?: string; readonly source: number })[];
}

/** An advisory that does not concern the box: why, and until when that was judged (YYYY-MM-DD). */
export interface Exception {
  readonly id: string;
  readonly reason: string;
  readonly until: string;
}

/** What npm said, as a verdict: `ok` null where the registry could not say anything. */
export function judge(
  report: AuditReport,
  exceptions: readonly Exception[],
  today: string,
): { ok: boolean | null; lines: string[] } {
  if (report.error || !report.vulnerabilities) return { ok: null, lines: ['audit: NOT AVAILABLE: the registry gives no advisories, so nothing was checked'] };
  const lines: string[] = [];
  const found = new Set<string>();
  for (const { name, severity, via } of Object.values(report.vulnerabilities)) {
    if (!HIGH.has(severity)) continue;
    for (const advisory of via.filter((entry) => typeof entry === 'object')) {
      const id = /GHSA-[\w-]+/.exec(advisory.url ?? '')?.[0] ?? String(advisory.source);
      found.add(id);
      const exception = exceptions.find((entry) => entry.id === id);
      if (!exception) lines.push(`${name}: ${severity}, ${advisory.title} (${id})`);
      else if (exception.until < today) lines.push(`${name}: the exception for ${id} ended on ${exception.until}`);
    }
  }
  for (const { id } of exceptions) if (!found.has(id)) lines.push(`the exception for ${id} is not needed any more`);
  return { ok: lines.length === 0, lines };
}

if (import.meta.main) {
  const { stdout } = spawnSync('npm', ['audit', '--omit=dev', '--json'], {
    encoding: 'utf8',
    timeout: ANSWER_MS,
  });
  let report: AuditReport = {};
  try {
    report = JSON.parse(stdout ?? '');
  } catch {
    // Nothing that could be read: as good as no answer.
  }
  const exceptions: Exception[] = JSON.parse(readFileSync(new URL('audit-exceptions.json', import.meta.url), 'utf8'));
  const { ok, lines } = judge(report, exceptions, new Date().toISOString().slice(0, 10));
  console.log(lines.join('\n') || 'audit: nothing of high severity in what is shipped');
  process.exitCode = ok === false ? 1 : 0;
}
