import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { SniffChunk } from '../api.ts';
import { count } from '../words.ts';
import { Empty, Scroll } from './parts.tsx';
import { fromBase64, hex } from './payload.ts';

/** Chunks that the page holds: the newest. */
const CHUNKS_MAX = 200;
/** Characters of a capture that are shown; the download has all. */
const CAPTURE_CHARACTERS_MAX = 100_000;
const DRAW_INTERVAL_MS = 250;

/** What was on the line around the last errors. */
export function Recorder({ port, captures }: { port: string; captures: number }): JSX.Element {
  const [text, setText] = useState<string | null>(null);
  useEffect(() => {
    const controller = new AbortController();
    const load = async (): Promise<void> => {
      const response = await fetch(`/api/serial/${encodeURIComponent(port)}/capture`, { signal: controller.signal });
      setText(response.ok ? await response.text() : '');
    };
    load().catch(() => {});
    return () => controller.abort();
  }, [port, captures]);
  if (text === null) return <Empty>Reading the recorder</Empty>;
  if (text.trim() === '') return <Empty>Nothing has been recorded: no error so far.</Empty>;
  return (
    <Scroll class="recorder spaced" label={`Flight recorder of ${port}`}>
      <pre>
        {text.slice(0, CAPTURE_CHARACTERS_MAX)}
        {text.length > CAPTURE_CHARACTERS_MAX && '\n… the rest is in the download'}
      </pre>
    </Scroll>
  );
}

interface Chunk {
  id: number;
  chunk: SniffChunk;
}

/** The bytes as they pass, newest on top. */
export function Sniffer({ port }: { port: string }): JSX.Element {
  const [chunks, setChunks] = useState<readonly Chunk[]>([]);
  const [isOver, setOver] = useState(false);
  useEffect(() => {
    let next = 1;
    let all: readonly Chunk[] = [];
    let waiting: Chunk[] = [];
    const source = new EventSource(`/api/serial/${encodeURIComponent(port)}/sniff`);
    source.addEventListener('bytes', (event) => waiting.push({ id: next++, chunk: JSON.parse(event.data) }));
    source.addEventListener('error', () => setOver(source.readyState === EventSource.CLOSED));
    const timer = setInterval(() => {
      if (waiting.length === 0) return;
      all = [...waiting.toReversed(), ...all].slice(0, CHUNKS_MAX);
      waiting = [];
      setChunks(all);
    }, DRAW_INTERVAL_MS);
    return () => {
      clearInterval(timer);
      source.close();
    };
  }, [port]);
  if (isOver) return <p class="complaint spaced">The line can't be watched now.</p>;
  if (chunks.length === 0) return <Empty>Nothing has passed yet.</Empty>;
  return (
    <Scroll class="recorder spaced" label={`Bytes on ${port}`}>
      {chunks.map(({ id, chunk }) => (
        <div key={id} class="chunk">
          <span class="soft">
            {new Date(chunk.atMs).toLocaleTimeString()} {chunk.direction === 'in' ? 'from the device' : 'to the device'}
            {chunk.skippedBytes > 0 && `, ${count(chunk.skippedBytes)} bytes before it left out`}
          </span>
          <pre>{hex(fromBase64(chunk.data) ?? new Uint8Array())}</pre>
        </div>
      ))}
    </Scroll>
  );
}
