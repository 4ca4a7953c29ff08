/* Of the API (api.ts): the machine, now and before. */

/** One sample of the machine, every 10 s; null where this machine has no such thing. `GET /api/health`: the last one. */
export interface HealthSample {
  atMs: number;
  /** 0 to 1, of all cores over the time since the sample before. */
  cpuShare: number | null;
  /** The same of this process. */
  processCpuShare: number;
  load1: number;
  cores: number;
  memoryBytes: number;
  memoryAvailableBytes: number;
  rssBytes: number;
  swapUsedBytes: number;
  diskBytes: number;
  diskFreeBytes: number;
  /** By this process since its start, by the kernel's count. */
  writtenBytes: number;
  temperatureC: number | null;
  /** Of a Raspberry Pi: now, and since its start. */
  throttling: { underVoltage: Flag; frequencyCapped: Flag; throttled: Flag; softTemperatureLimit: Flag } | null;
  interfaces: { name: string; addresses: string[]; isUp: boolean; receivedBytes: number; sentBytes: number }[];
  /** eMMC: life used, in tenths (JEDEC device life time estimation A and B, 1 to 11), and pre-EOL (1 normal, 3 urgent). */
  emmc: { name: string; lifeTimeA: number | null; lifeTimeB: number | null; preEol: number | null }[];
  /** Of this box's process since the store was made, and why the last one began. */
  restarts: number;
  resetReason: string;
  machineUptimeS: number;
  machine: string;
  kernel: string;
}

export interface Flag {
  now: boolean;
  since: boolean;
}

export const historySpans = ['hour', 'day', 'week'] as const;

export type HistorySpan = (typeof historySpans)[number];

/** What is kept as history; units as in `HealthSample`. depth: records of all lanes. rates: messages a second. */
export const historySeries = [
  'cpuShare',
  'memoryUsedBytes',
  'rssBytes',
  'temperatureC',
  'diskFreeBytes',
  'depth',
  'rateInPerS',
  'rateOutPerS',
  'fsyncP99Ms',
  'rttMs',
  'linkUp',
] as const;

export type HistorySeries = (typeof historySeries)[number];

/** `GET /api/history?span=hour|day|week`: points `stepS` apart (10 s, 2 min, 15 min). null: the box was not there. */
export interface History {
  span: HistorySpan;
  stepS: number;
  /** Of each point, ascending. */
  atMs: number[];
  series: Record<HistorySeries, (number | null)[]>;
}

/** `GET /api/hardware`: '' and 0 where the machine does not tell. It is asked once, when somebody wants to know. */
export interface Hardware {
  manufacturer: string;
  model: string;
  /** A machine of software, as a container host has it. */
  isVirtual: boolean;
  system: { name: string; release: string; kernel: string; architecture: string };
  processor: { name: string; cores: number };
  memoryBytes: number;
  disks: HardwareDisk[];
}

export interface HardwareDisk {
  /** `/dev/mmcblk0` */
  device: string;
  name: string;
  /** `SD`, `SSD`, `NVMe`, `HD`, … */
  type: string;
  sizeBytes: number;
  /** Of its own judgement (SMART): `Ok`, `Predicted Failure`, …; '' where it gives none. */
  condition: string;
}
