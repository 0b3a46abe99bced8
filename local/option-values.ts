import { InvalidArgumentError } from 'commander';

/** For commander: a whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    return value;
  };
}

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** For commander: `20s`, `1.5m`, `500ms` or plain seconds, in milliseconds. */
export function durationMs(text: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)?$/.exec(text);
  const value = Number(match?.[1]) * unitMs[(match?.[2] ?? 's') as keyof typeof unitMs];
  if (!(value > 0)) throw new InvalidArgumentError('It must be a duration above zero such as 20s, 5m or 1h.');
  return value;
}

/** For commander: a number of minutes above zero, up to a day; `0.5` is half a minute. */
export function minutes(text: string): number {
  const value = /^\d{1,4}(?:\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value > 0 && value <= 1440))
    throw new InvalidArgumentError('It must be a number of minutes from 0.001 to 1440.');
  return value;
}

/** For commander, an option that may be given several times, or once with commas: the parts, each checked by `parse`. */
export function listOf<T>(parse: (text: string) => T): (text: string, before: readonly T[] | undefined) => T[] {
  return (text, before = []) => [...before, ...text.split(',').map((part) => parse(part.trim()))];
}

/** For commander: a text of the form that `pattern` has, which `allowed` describes. */
export function textLike(pattern: RegExp, allowed: string): (text: string) => string {
  return (text) => {
    if (!pattern.test(text)) throw new InvalidArgumentError(`It must be ${allowed}.`);
    return text;
  };
}

/** For commander: an https URL, or http on this machine. Signed requests go there, so it must be nobody else's. */
export function functionUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && url.hostname === '127.0.0.1');
  if (url === undefined || !isSafe) throw new InvalidArgumentError('It must be an https URL.');
  return url;
}
