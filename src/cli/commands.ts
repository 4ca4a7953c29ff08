import type { Command } from './command.ts';

/** Loaded when asked for: `petiole check` need not carry a broker. */
export const commands: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ['run', async () => (await import('./run.ts')).run],
  ['check', async () => (await import('./check.ts')).check],
  ['status', async () => (await import('./status.ts')).status],
  ['devices', async () => (await import('./devices.ts')).devices],
  ['config', async () => (await import('./config.ts')).config],
  ['bundle', async () => (await import('./bundle.ts')).bundle],
  ['drain', async () => (await import('./drain.ts')).drain],
  ['journal', async () => (await import('./journal.ts')).journal],
  ['firmware', async () => (await import('./firmware.ts')).firmware],
  ['user', async () => (await import('./user.ts')).user],
  ['enroll', async () => (await import('./enroll.ts')).enroll],
  ['tail', async () => (await import('./tail.ts')).tail],
  ['pub', async () => (await import('./pub.ts')).pub],
  ['request', async () => (await import('./pub.ts')).request],
  ['demo', async () => (await import('./demo.ts')).demo],
  ['serial', async () => (await import('./serial.ts')).serial],
  ['doctor', async () => (await import('./doctor.ts')).doctor],
  ['completion', async () => (await import('./completion.ts')).completion],
  ['manual', async () => (await import('./manual.ts')).manual],
  ['version', async () => (await import('./version.ts')).version],
]);
