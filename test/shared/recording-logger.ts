import type { Logger } from '../../shared/logger.ts';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Record<string, unknown>;
}

/** Keeps what is logged, for a test to look at. */
export class RecordingLogger implements Logger {
  readonly lines: LogLine[];
  readonly #fields: object;

  constructor(lines: LogLine[] = [], fields: object = {}) {
    this.lines = lines;
    this.#fields = fields;
  }

  debug(fields: object, message: string): void {
    this.#keep('debug', fields, message);
  }

  info(fields: object, message: string): void {
    this.#keep('info', fields, message);
  }

  warn(fields: object, message: string): void {
    this.#keep('warn', fields, message);
  }

  error(fields: object, message: string): void {
    this.#keep('error', fields, message);
  }

  child(fields: object): Logger {
    return new RecordingLogger(this.lines, { ...this.#fields, ...fields });
  }

  #keep(level: LogLine['level'], fields: object, message: string): void {
    this.lines.push({ level, message, fields: { ...this.#fields, ...fields } });
  }
}
