const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const timeOfDay = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const weekdayAndDate = new Intl.DateTimeFormat('en-GB', { weekday: 'long', day: 'numeric', month: 'long' });
const hourAndMinute = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });

/** A dash where nothing is known. */
export const unknown = '–';

export function count(value: number | undefined): string {
  if (value === undefined) return unknown;
  return Math.abs(value) < 100_000 ? whole.format(value) : short.format(value);
}

/** With one decimal below ten, where it tells something. */
export function rate(value: number | undefined): string {
  if (value === undefined) return unknown;
  return value > 0 && value < 10 ? String(Math.round(value * 10) / 10) : count(value);
}

export function milliseconds(value: number | undefined): string {
  if (value === undefined) return unknown;
  return value < 10_000 ? `${whole.format(value)} ms` : duration(value);
}

/** The two largest units: `3 h 12 min`. */
export function duration(ms: number | undefined): string {
  if (ms === undefined) return unknown;
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** The largest unit alone: `3 h`. */
export function roughDuration(ms: number): string {
  const minutes = Math.max(0, Math.round(ms / 60_000));
  return minutes < 60 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

export function clockTime(atMs: number): string {
  return timeOfDay.format(atMs);
}

/** `Tuesday 1 December`, by which two entries of different days are told apart. */
export function dayOf(atMs: number): string {
  return weekdayAndDate.format(atMs);
}

export function shortClockTime(atMs: number): string {
  return hourAndMinute.format(atMs);
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** `3, 5, 8–12`, cut after a while. */
export function shardList(ids: readonly number[], most = 12): string {
  const parts: string[] = [];
  for (let index = 0; index < ids.length; index += 1) {
    const first = ids[index] as number;
    let last = first;
    while (ids[index + 1] === last + 1) {
      index += 1;
      last = ids[index] as number;
    }
    parts.push(first === last ? String(first) : last === first + 1 ? `${first}, ${last}` : `${first}–${last}`);
  }
  const shown = parts.slice(0, most).join(', ');
  return parts.length > most ? `${shown} … (${ids.length})` : shown;
}
