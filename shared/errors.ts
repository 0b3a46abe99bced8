/** What went wrong, for programs to match on. `docs/operations.md` lists each code and what to do. */
export type BatonErrorCode =
  | 'CONFIG_INVALID'
  | 'DISCORD_UNAUTHORIZED'
  | 'DISCORD_UNREACHABLE'
  | 'STORE_UNREACHABLE'
  | 'STORE_ITEM_INVALID'
  | 'QUEUE_UNREACHABLE'
  | 'PROVISION_FAILED'
  | 'EMULATOR_FAILED'
  | 'ENVELOPE_INVALID'
  | 'HANDLERS_INVALID'
  | 'CUSTOM_ID_INVALID'
  | 'INTERACTION_INVALID'
  | 'MESSAGE_INVALID'
  | 'ANSWER_OUT_OF_TURN'
  | 'SHARD_STOPPED'
  | 'COMMAND_REFUSED'
  | 'COMMANDS_REFUSED'
  | 'WORKER_FENCED'
  | 'WORKER_ID_TAKEN'
  | 'REQUEST_INVALID'
  | 'REQUEST_FAILED'
  | 'EVAL_FAILED'
  | 'QUERY_FAILED'
  | 'EVAL_OFF'
  | 'PORT_IN_USE';

/** A fault this process cannot repair. Match on `code`; `message` is one line for people and says what to do. */
export class BatonError extends Error {
  override readonly name = 'BatonError';
  readonly code: BatonErrorCode;
  constructor(code: BatonErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** One line about anything that was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  if (error instanceof Error) return error.message === '' ? error.name : error.message;
  return String(error);
}
