import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Hardware } from '../api.ts';
import { bytes, counted, printable } from '../words.ts';
import { get } from './box.ts';
import { Complaint, Empty, Facts, useAction } from './parts.tsx';

/** What machine this is: asked for when somebody opens it, since finding out starts a process on the box. */
export function HardwareDetails(): JSX.Element {
  const [found, setFound] = useState<Hardware | null>(null);
  const action = useAction();
  const onToggle = (event: { currentTarget: HTMLDetailsElement }): void => {
    if (!event.currentTarget.open || found !== null || action.busy) return;
    void action.run(async () => setFound(await get<Hardware>('/api/hardware')));
  };
  return (
    <details class="spaced" onToggle={onToggle}>
      <summary>About this machine</summary>
      {found !== null && <Facts facts={factsOf(found)} />}
      {found === null && action.error === null && <Empty>Asking the machine</Empty>}
      <Complaint error={action.error} />
    </details>
  );
}

function factsOf({ manufacturer, model, isVirtual, system, processor, memoryBytes, disks }: Hardware) {
  const named = (...parts: string[]): string => printable(parts.filter((part) => part !== '').join(' ')) || '–';
  return [
    { label: 'Model', value: named(manufacturer, model, isVirtual ? '(virtual)' : '') },
    { label: 'System', value: named(system.name, system.release) },
    { label: 'Kernel', value: named(system.kernel, system.architecture) },
    { label: 'Processor', value: named(processor.name, `${counted(processor.cores, 'core')}`) },
    { label: 'Memory', value: bytes(memoryBytes) },
    ...disks.map(({ device, name, type, sizeBytes, condition }) => ({
      label: `Disk ${printable(device)}`,
      value: named(type, name, bytes(sizeBytes), condition === '' ? '' : `(${condition})`),
    })),
  ];
}
