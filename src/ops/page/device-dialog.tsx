import type { JSX } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import type { Device, Kick } from '../api.ts';
import { ago, bytes, count, printable, rate } from '../words.ts';
import { post, session } from './box.ts';
import { kindWords, stateWords } from './devices.tsx';
import { useObserved } from './observed.ts';
import { Button, Complaint, Facts, State, useAction } from './parts.tsx';
import { bytesOf, read } from './payload.ts';

/** What is known of one device, and the way to end its connection. */
export function DeviceDialog(props: { device: Device; nowMs: number; onClose: () => void }): JSX.Element {
  const { device, nowMs } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const isOperator = useObserved(session)?.role === 'operator';
  useEffect(() => dialog.current?.showModal(), []);
  const { text, tone } = stateWords[device.state];
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={props.onClose}>
      <div class="dialog-head">
        <h2 id={id} class="dialog-title">
          <bdi>{printable(device.name || device.id)}</bdi>
        </h2>
        <Button kind="bare" icon="close" label="Close" onClick={() => dialog.current?.close()} />
      </div>
      <Facts
        facts={[
          { label: 'Kind', value: kindWords[device.kind] },
          { label: 'State', value: <State tone={tone}>{text}</State> },
          device.parent !== '' && { label: 'On', value: printable(device.parent) },
          device.user !== '' && { label: 'User', value: printable(device.user) },
          device.protocol !== '' && { label: 'Protocol', value: printable(device.protocol) },
          device.remote !== '' && { label: 'Address', value: printable(device.remote) },
          { label: 'Connected', value: ago(device.connectedAtMs, nowMs) },
          { label: 'Last seen', value: ago(device.lastSeenMs, nowMs) },
          { label: 'Rate in / out', value: `${rate(device.rateInPerS)} / ${rate(device.rateOutPerS)}` },
          { label: 'Messages in / out', value: `${count(device.messagesIn)} / ${count(device.messagesOut)}` },
          { label: 'Bytes in / out', value: `${bytes(device.bytesIn)} / ${bytes(device.bytesOut)}` },
          device.subscriptions > 0 && { label: 'Filters', value: count(device.subscriptions) },
          { label: 'Errors', value: count(device.errors) },
          device.lastError !== '' && { label: 'Last error', value: printable(device.lastError, 300) },
        ]}
      />
      <LastValue device={device} nowMs={nowMs} />
      {isOperator && device.canKick && <KickButton device={device} onDone={() => dialog.current?.close()} />}
    </dialog>
  );
}

function LastValue({ device, nowMs }: { device: Device; nowMs: number }): JSX.Element {
  const { lastValue } = device;
  if (lastValue === null) return <p class="hint spaced">Its next message will stand here.</p>;
  return (
    <div>
      <h3>
        Last value, {ago(lastValue.atMs, nowMs)} on <code>{printable(lastValue.subject)}</code>
      </h3>
      <pre class="detail-value">{read(bytesOf(lastValue.payload), 'auto').text}</pre>
    </div>
  );
}

/** Asks once more in place: a dialog on a dialog is one too many. */
function KickButton({ device, onDone }: { device: Device; onDone: () => void }): JSX.Element {
  const [isSure, setSure] = useState(false);
  const action = useAction();
  const kick = (): void =>
    void action.run(async () => {
      await post('/api/devices/kick', { id: device.id } satisfies Kick);
      onDone();
    });
  return (
    <>
      <Complaint error={action.error} />
      <div class="buttons end">
        {isSure ? (
          <>
            <span class="soft">It may connect again at once.</span>
            <Button onClick={() => setSure(false)}>Cancel</Button>
            <Button kind="danger" disabled={action.busy} onClick={kick}>
              End it
            </Button>
          </>
        ) : (
          <Button kind="danger" onClick={() => setSure(true)}>
            End its connection
          </Button>
        )}
      </div>
    </>
  );
}
