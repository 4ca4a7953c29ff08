import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { TailCount, TailMessage } from '../api.ts';
import { bytes, count, printable } from '../words.ts';
import { queryOf, session } from './box.ts';
import { useObserved } from './observed.ts';
import { Button, Empty, Scroll } from './parts.tsx';
import { bytesOf, type Form, forms, read } from './payload.ts';
import { PublishPanel } from './publish.tsx';

/** Messages that the page holds: the newest. */
const MESSAGES_MAX = 300;
/** The list is drawn again at most this often; a flood must not freeze a phone. */
const DRAW_INTERVAL_MS = 200;
const RATES = [10, 50, 200, 1000] as const;

interface Line {
  id: number;
  message: TailMessage;
}

interface Tail {
  lines: readonly Line[];
  count: TailCount;
  /** Came in while it was held. */
  held: number;
  problem: string;
}

const nothing: Tail = { lines: [], count: { matched: 0, skipped: 0 }, held: 0, problem: '' };

export function Live(): JSX.Element {
  const [filter, setFilter] = useState('>');
  const [typed, setTyped] = useState('>');
  const [rate, setRate] = useState(50);
  const [form, setForm] = useState<Form>('auto');
  const [isHeld, setHeld] = useState(false);
  const tail = useTail(filter, rate, isHeld);
  const isOperator = useObserved(session)?.role === 'operator';
  return (
    <>
      <div class="view-head">
        <h1>Live</h1>
        <p class="soft">
          {count(tail.count.matched)} seen
          {tail.count.skipped > 0 && `, ${count(tail.count.skipped)} not shown`}
        </p>
      </div>
      <form
        class="tools"
        onSubmit={(event) => {
          event.preventDefault();
          setFilter(typed.trim() || '>');
          setHeld(false);
        }}
      >
        <input
          class="filter mono"
          aria-label="Subject or topic filter"
          value={typed}
          maxLength={1024}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          onInput={(event) => setTyped(event.currentTarget.value)}
        />
        <Button type="submit">Show</Button>
        <select
          aria-label="Show payloads as"
          value={form}
          onChange={(event) => setForm(event.currentTarget.value as Form)}
        >
          {forms.map((one) => (
            <option key={one} value={one}>
              {one === 'auto' ? 'As it is' : one}
            </option>
          ))}
        </select>
        <select aria-label="Rate limit" value={rate} onChange={(event) => setRate(Number(event.currentTarget.value))}>
          {RATES.map((one) => (
            <option key={one} value={one}>
              {count(one)}/s at most
            </option>
          ))}
        </select>
        <Button icon={isHeld ? 'play' : 'pause'} pressed={isHeld} onClick={() => setHeld(!isHeld)}>
          {isHeld ? `Go on${tail.held > 0 ? ` (${count(tail.held)} new)` : ''}` : 'Pause'}
        </Button>
      </form>
      {tail.problem !== '' && <p class="complaint">{tail.problem}</p>}
      <Messages lines={tail.lines} form={form} filter={filter} />
      {isOperator && <PublishPanel />}
    </>
  );
}

/** Follows what passes the box. While it is held the list stands, and the newest wait behind it. */
function useTail(filter: string, rate: number, isHeld: boolean): Tail {
  const [tail, setTail] = useState(nothing);
  const held = useRef(isHeld);
  held.current = isHeld;
  useEffect(() => {
    let next = 1;
    let lines: readonly Line[] = [];
    let waiting: Line[] = [];
    let counted = nothing.count;
    let problem = '';
    setTail(nothing);
    const draw = (): void => {
      if (waiting.length > MESSAGES_MAX) waiting = waiting.slice(-MESSAGES_MAX);
      if (!held.current && waiting.length > 0) {
        lines = [...waiting.toReversed(), ...lines].slice(0, MESSAGES_MAX);
        waiting = [];
      }
      setTail({ lines, count: counted, held: waiting.length, problem });
    };
    const source = new EventSource(`/api/tail${queryOf({ filter, rate })}`);
    source.addEventListener('message', (event) => {
      if (typeof event.data === 'string') waiting.push({ id: next++, message: JSON.parse(event.data) });
    });
    source.addEventListener('tail', (event) => {
      counted = JSON.parse(event.data);
      problem = '';
    });
    source.addEventListener('error', () => {
      const isOver = source.readyState === EventSource.CLOSED;
      problem = isOver ? 'The box does not show this: check the filter, or close another tail.' : '';
    });
    const timer = setInterval(draw, DRAW_INTERVAL_MS);
    return () => {
      clearInterval(timer);
      source.close();
    };
  }, [filter, rate]);
  return tail;
}

function Messages(props: { lines: readonly Line[]; form: Form; filter: string }): JSX.Element {
  return (
    <Scroll class="tail" label="Messages">
      {props.lines.length === 0 && <Empty>Nothing yet on {printable(props.filter)}.</Empty>}
      <ol>
        {props.lines.map(({ id, message }) => (
          <MessageItem key={id} message={message} form={props.form} />
        ))}
      </ol>
    </Scroll>
  );
}

function MessageItem({ message, form }: { message: TailMessage; form: Form }): JSX.Element {
  const { subject, headers, payload, from, reply } = message;
  const reading = read(bytesOf(payload), form);
  const at = new Date(message.atMs);
  return (
    <li>
      <p class="tail-head">
        <time dateTime={at.toISOString()}>{timeOf(at)}</time>
        <span class="subject">{printable(subject, 300)}</span>
        <span>{printable(from)}</span>
        <span>
          {bytes(payload.bytes)} · {reading.form}
          {reading.isOther && ` (no ${form})`}
        </span>
        {reply !== '' && <span>reply to {printable(reply)}</span>}
      </p>
      {headers.length > 0 && (
        <p class="tail-head mono">{printable(headers.map(([name, value]) => `${name}: ${value}`).join('  '), 600)}</p>
      )}
      {payload.bytes > 0 && (
        <pre class={`payload ${reading.form === 'hex' ? 'hex' : ''}`}>
          {reading.text}
          {payload.isCut && '\n… cut'}
        </pre>
      )}
    </li>
  );
}

function timeOf(at: Date): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}
