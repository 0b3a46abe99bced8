import { Logger as PowertoolsLogger } from '@aws-lambda-powertools/logger';
import type { LogLevel } from '../../shared/config.ts';
import type { Logger } from '../../shared/logger.ts';

const powertoolsLevels = {
  fatal: 'CRITICAL',
  error: 'ERROR',
  warn: 'WARN',
  info: 'INFO',
  debug: 'DEBUG',
  trace: 'TRACE',
  silent: 'SILENT',
} as const satisfies Record<LogLevel, string>;

/** JSON lines in the form of AWS Lambda Powertools, which CloudWatch Logs Insights reads by field. */
export function createLambdaLogger(serviceName: string, level: LogLevel): Logger {
  return withFields(new PowertoolsLogger({ serviceName, logLevel: powertoolsLevels[level] }), {});
}

// Fields are merged when a line is written: a child per event costs nothing until it says something.
function withFields(logger: PowertoolsLogger, bound: object): Logger {
  return {
    debug: (fields, message) => logger.debug(message, { ...bound, ...fields }),
    info: (fields, message) => logger.info(message, { ...bound, ...fields }),
    warn: (fields, message) => logger.warn(message, { ...bound, ...fields }),
    error: (fields, message) => logger.error(message, { ...bound, ...fields }),
    child: (fields) => withFields(logger, { ...bound, ...fields }),
  };
}
