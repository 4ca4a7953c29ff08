import type { ComponentChildren, JSX } from 'preact';
import { useId, useState } from 'preact/hooks';
import { Icon, type IconName } from './icons.tsx';

/** quiet: neither good nor bad. */
export type Tone = 'ok' | 'quiet' | 'degraded' | 'failing';

export function Panel(props: {
  title: string;
  /** At the end of the title's line. */
  aside?: ComponentChildren;
  class?: string;
  children: ComponentChildren;
}): JSX.Element {
  const id = useId();
  return (
    <section class={`panel ${props.class ?? ''}`} aria-labelledby={id}>
      <div class="panel-head">
        <h2 id={id}>{props.title}</h2>
        {props.aside}
      </div>
      {props.children}
    </section>
  );
}

export interface Fact {
  label: string;
  value: ComponentChildren;
}

/** Labels and values; those without a value are left out. */
export function Facts({ facts }: { facts: readonly (Fact | null | false | undefined)[] }): JSX.Element {
  return (
    <dl class="facts">
      {facts.map(
        (fact) =>
          fact && (
            <div key={fact.label}>
              <dt>{fact.label}</dt>
              <dd>{fact.value}</dd>
            </div>
          ),
      )}
    </dl>
  );
}

export function State({ tone, children }: { tone: Tone; children: ComponentChildren }): JSX.Element {
  return (
    <span class="state" data-tone={tone}>
      {children}
    </span>
  );
}

/** How full something is, 0 to 1. */
export function Meter(props: { label: string; share: number; text: string; tone: Tone }): JSX.Element {
  const percent = Math.round(Math.min(1, Math.max(0, props.share)) * 100);
  return (
    // biome-ignore lint/a11y/useSemanticElements: <meter> looks different in each browser, and bad in most
    <div
      class="meter"
      data-tone={props.tone}
      role="meter"
      aria-label={props.label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent}
      aria-valuetext={props.text}
    >
      <div class="meter-fill" style={{ inlineSize: `${percent}%` }} />
    </div>
  );
}

export function Button(props: {
  children?: ComponentChildren;
  onClick?: () => void;
  icon?: IconName;
  kind?: 'plain' | 'primary' | 'danger' | 'bare';
  type?: 'button' | 'submit';
  disabled?: boolean;
  label?: string;
  pressed?: boolean;
}): JSX.Element {
  return (
    <button
      type={props.type ?? 'button'}
      class={`button ${props.kind ?? 'plain'}`}
      onClick={props.onClick}
      disabled={props.disabled}
      aria-label={props.label}
      aria-pressed={props.pressed}
    >
      {props.icon && <Icon name={props.icon} />}
      {props.children}
    </button>
  );
}

/** One of a few, side by side: radio buttons that look like one control. */
export function Segmented<T extends string>(props: {
  label: string;
  value: T;
  options: readonly { value: T; text: string }[];
  onChange: (value: T) => void;
}): JSX.Element {
  const name = useId();
  return (
    <fieldset class="segmented">
      <legend class="unseen">{props.label}</legend>
      {props.options.map(({ value, text }) => (
        <label key={value}>
          <input
            type="radio"
            name={name}
            value={value}
            checked={value === props.value}
            onChange={() => props.onChange(value)}
          />
          <span>{text}</span>
        </label>
      ))}
    </fieldset>
  );
}

export function Field(props: {
  label: string;
  hint?: string;
  children: (id: string) => ComponentChildren;
}): JSX.Element {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      {props.children(id)}
      {props.hint && <p class="hint">{props.hint}</p>}
    </div>
  );
}

export function Search(props: { label: string; value: string; onInput: (value: string) => void }): JSX.Element {
  return (
    <div class="search">
      <Icon name="search" />
      <input
        type="search"
        aria-label={props.label}
        placeholder={props.label}
        value={props.value}
        maxLength={256}
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => props.onInput(event.currentTarget.value)}
      />
    </div>
  );
}

export interface Refusal {
  message: string;
  hint: string;
}

/** What went wrong, with its cure. */
export function Complaint({ error }: { error: Refusal | null }): JSX.Element | null {
  if (error === null) return null;
  return (
    <div class="complaint" role="alert">
      <p>{error.message}</p>
      {error.hint !== '' && <p class="hint">{error.hint}</p>}
    </div>
  );
}

/** What scrolls must be reached by the keyboard, and have a name. */
export function Scroll(props: { label: string; class?: string; children: ComponentChildren }): JSX.Element {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys scroll what has the focus
    <section class={props.class ?? 'scroll'} tabIndex={0} aria-label={props.label}>
      {props.children}
    </section>
  );
}

export function Empty({ children }: { children: ComponentChildren }): JSX.Element {
  return <p class="empty">{children}</p>;
}

/** Text that a screen reader says when it changes. */
export function Spoken({ text }: { text: string }): JSX.Element {
  return (
    <p class="unseen" role="status" aria-live="polite">
      {text}
    </p>
  );
}

/** Runs one action at a time, and keeps what went wrong. */
export function useAction(): {
  busy: boolean;
  error: Refusal | null;
  run: (action: () => Promise<unknown>) => Promise<void>;
  clear: () => void;
} {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Refusal | null>(null);
  return {
    busy,
    error,
    clear: () => setError(null),
    run: async (action) => {
      setBusy(true);
      setError(null);
      try {
        await action();
      } catch (failure) {
        const { message = String(failure), hint = '' } = failure as Partial<Refusal>;
        setError({ message, hint });
      } finally {
        setBusy(false);
      }
    },
  };
}
