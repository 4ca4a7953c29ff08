import { GatewayError } from './core/errors.ts';
import type { LogRing } from './core/log-ring.ts';
import type { Message } from './core/message.ts';
import type { Router } from './core/router.ts';
import type { Doors } from './doors.ts';
import type { MqttEdge } from './mqtt/mqtt-edge.ts';
import type { ApiParts } from './ops/api-parts.ts';
import type { Monitor } from './ops/monitor.ts';
import type { Settings } from './ops/settings.ts';
import type { Journal } from './store/journal.ts';
import type { Uplink } from './uplink.ts';

export interface PageSources {
  readonly gateway: string;
  readonly version: string;
  readonly logs: LogRing;
  /** Null: the configuration can't be changed while the box runs. */
  readonly settings: Settings | null;
  readonly monitor: Monitor;
  readonly router: Router;
  readonly journal: Journal;
  readonly uplink: Uplink;
  readonly mqtt: MqttEdge;
  readonly doors: Doors;
}

/** What the status page reaches of the parts. */
export function pageParts(sources: PageSources): ApiParts {
  const { gateway, version, logs, settings, monitor, router, journal, uplink, mqtt, doors } = sources;
  return {
    gateway,
    version,
    logs,
    monitor,
    ...(settings && { settings }),
    bus: {
      watch: (tap) => router.watch(tap),
      publish: (message, receipt) => router.publish(message, receipt),
      subscribe: (subscription) => router.subscribe(subscription),
      unsubscribe: (subscription) => router.unsubscribe(subscription),
      laneOf: (message) => journal.laneNames[uplink.keptForHub().laneOf(message)] ?? '',
      retain: (message) => retain(journal, message),
    },
    records: {
      get laneNames() {
        return journal.laneNames;
      },
      look: (lane, after) => journal.records.look(lane, after),
    },
    kicks: {
      mqtt: (clientId) => mqtt.kick(clientId),
      nats: (clientId) => doors.nats?.kick(clientId) ?? false,
    },
    sniff: (port, taken) => doors.serial?.sniff(port, taken) ?? null,
  };
}

function retain({ retained }: Journal, message: Message): GatewayError | null {
  if (retained !== null) return retained.keep(message, 1, 0);
  const hint = 'Set mqtt.retained to on';
  return new GatewayError('config_invalid', 'Retained messages are off', { hint, retriable: false });
}
