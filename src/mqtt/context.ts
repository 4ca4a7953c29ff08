import type { Authenticator } from '../core/authenticator.ts';
import type { Log } from '../core/log.ts';
import type { Router } from '../core/router.ts';
import type { ConnectRate } from './connect-rate.ts';
import type { Connection } from './connection.ts';
import type { Counters } from './counters.ts';
import type { LostClients } from './lost-clients.ts';
import type { Notices } from './notices.ts';
import type { MqttOptions } from './options.ts';
import type { FlushRound } from './outbox.ts';
import type { Permits } from './permits.ts';
import type { PublishEncoder } from './publish-encoder.ts';
import type { Requests } from './requests.ts';
import type { RetainedRound } from './retained-delivery.ts';
import type { RetainedStore } from './retained-port.ts';
import type { Sessions } from './sessions.ts';
import type { SystemTopics } from './system-topics.ts';
import type { TopicNames } from './topic-names.ts';

/** What all connections of the edge share. */
export interface Context {
  readonly router: Router;
  readonly log: Log;
  readonly options: Required<MqttOptions>;
  /** Wall clock, milliseconds since 1970: for what is shown and stamped. Deadlines use the monotonic clock. */
  readonly clock: () => number;
  /** Null where no users are configured. */
  readonly authenticator: Authenticator | null;
  readonly connectRate: ConnectRate;
  readonly permits: Permits;
  /** Connected clients by client identifier. */
  readonly clients: Map<string, Connection>;
  readonly lost: LostClients;
  readonly sessions: Sessions;
  readonly topics: TopicNames;
  readonly publishes: PublishEncoder;
  readonly round: FlushRound;
  /** Null where retained messages are off. */
  readonly retained: RetainedStore | null;
  readonly retainedRound: RetainedRound;
  readonly requests: Requests;
  readonly system: SystemTopics;
  readonly counters: Counters;
  readonly notices: Notices;
}
