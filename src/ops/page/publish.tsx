import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Publish, Published, Reply } from '../api.ts';
import { count, counted, milliseconds, printable } from '../words.ts';
import { post } from './box.ts';
import { Button, Complaint, Field, Panel, Spoken, useAction } from './parts.tsx';
import { bytesOf, read } from './payload.ts';

const encodings = ['text', 'hex', 'base64'] as const;
type Encoding = (typeof encodings)[number];

/** A message or a request in the operator's name. */
export function PublishPanel(): JSX.Element {
  const [subject, setSubject] = useState('');
  const [payload, setPayload] = useState('');
  const [headers, setHeaders] = useState('');
  const [encoding, setEncoding] = useState<Encoding>('text');
  const [retain, setRetain] = useState(false);
  const [outcome, setOutcome] = useState('');
  const [reply, setReply] = useState<Reply | null>(null);
  const action = useAction();
  const message = (): Publish => ({
    subject: subject.trim(),
    payload,
    encoding,
    headers: headersOf(headers),
    ...(retain ? { retain } : {}),
  });
  const publish = (): void =>
    void action.run(async () => {
      setReply(null);
      setOutcome('');
      const done = await post<Published>('/api/publish', message());
      const where = done.sequence === null ? 'Passed on live' : `Number ${count(done.sequence)} of lane ${done.lane}`;
      setOutcome(printable(`${where}; reached ${counted(done.reached, 'subscription')} on the box.`));
    });
  const request = (): void =>
    void action.run(async () => {
      setReply(null);
      setOutcome('');
      const answer = await post<Reply>('/api/request', message());
      setReply(answer);
      setOutcome(`Answered in ${milliseconds(answer.tookMs)}.`);
    });
  return (
    <Panel title="Publish or request">
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          publish();
        }}
      >
        <div class="two">
          <Field label="Subject or topic">
            {(id) => (
              <input
                id={id}
                class="mono"
                required
                maxLength={1024}
                autocomplete="off"
                autocapitalize="off"
                spellcheck={false}
                value={subject}
                onInput={(event) => setSubject(event.currentTarget.value)}
              />
            )}
          </Field>
          <Field label="Headers, one a line">
            {(id) => (
              <textarea
                id={id}
                rows={1}
                placeholder="Name: value"
                spellcheck={false}
                value={headers}
                onInput={(event) => setHeaders(event.currentTarget.value)}
              />
            )}
          </Field>
        </div>
        <Field label="Payload">
          {(id) => (
            <textarea
              id={id}
              rows={3}
              spellcheck={false}
              value={payload}
              onInput={(event) => setPayload(event.currentTarget.value)}
            />
          )}
        </Field>
        <div class="tools">
          <select
            aria-label="Payload is written as"
            value={encoding}
            onChange={(event) => setEncoding(event.currentTarget.value as Encoding)}
          >
            {encodings.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
          <label class="checkbox">
            <input type="checkbox" checked={retain} onChange={(event) => setRetain(event.currentTarget.checked)} />
            Retain
          </label>
          <span class="buttons push">
            <Button disabled={action.busy || subject.trim() === ''} onClick={request}>
              Request
            </Button>
            <Button type="submit" kind="primary" disabled={action.busy}>
              Publish
            </Button>
          </span>
        </div>
        <Complaint error={action.error} />
        {outcome !== '' && <p class="soft">{outcome}</p>}
        {reply !== null && <pre class="detail-value">{read(bytesOf(reply.payload), 'auto').text}</pre>}
        <Spoken text={outcome} />
      </form>
    </Panel>
  );
}

function headersOf(text: string): [string, string][] {
  return text
    .split('\n')
    .filter((line) => line.includes(':'))
    .map((line) => {
      const at = line.indexOf(':');
      return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    });
}
