/**
 * Where in the life of the fleet an event stands: the number of its session, in the order in which sessions were first
 * seen, then its sequence number. Positions compare as strings, so that a condition in DynamoDB can compare them too.
 */
export type StreamPosition = string;

const digits = 10;

/** @throws {RangeError} when a number has more than ten digits. */
export function streamPosition(sessionNumber: number, seq: number): StreamPosition {
  return `${padded(sessionNumber)}.${padded(seq)}`;
}

/** A position behind this one and before that of every event after it: for what no event has told. */
export function positionBehind(position: StreamPosition): StreamPosition {
  return `${position}+`;
}

/** The session's number in a position. */
export function sessionNumberOf(position: StreamPosition): number {
  return Number(position.slice(0, digits));
}

function padded(value: number): string {
  const text = String(value);
  if (text.length > digits) throw new RangeError(`${value} has more than ${digits} digits`);
  return text.padStart(digits, '0');
}
