import { dirname, join } from 'node:path';
import { AssetHashType, DockerImage, type Duration, type RemovalPolicy } from 'aws-cdk-lib';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import {
  ApplicationLogLevel,
  Architecture,
  Code,
  Function as LambdaFunction,
  LoggingFormat,
  Runtime,
  SystemLogLevel,
} from 'aws-cdk-lib/aws-lambda';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { CountedLogLevel } from './log-metrics.ts';
import { bundleProgram, type HandlerLists, type ProgramName, programs, repositoryRoot } from './bundle.ts';

export interface HandlerFunctionProps {
  readonly program: ProgramName;
  readonly handlers: HandlerLists;
  readonly description: string;
  readonly functionName: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly timeout: Duration;
  readonly logRetention: RetentionDays;
  readonly logRemovalPolicy: RemovalPolicy;
  readonly logLevel: CountedLogLevel;
  /**
   * Whether stack traces name lines of the sources. It costs a tenth of a second of each cold start; without it a trace
   * is read with the source map in the bundle's folder. @default true
   */
  readonly mapsSources?: boolean | undefined;
  /** @default 512, about 0.3 of a vCPU */
  readonly memoryMb?: number | undefined;
  /** Invocations at once that are kept for this function, and its limit. @default none are kept, and there is no limit */
  readonly reservedConcurrency?: number | undefined;
}

/** Lambda drops lines below its own level, so it must be that of the program. */
const applicationLogLevels: Readonly<Record<CountedLogLevel, ApplicationLogLevel>> = {
  warn: ApplicationLogLevel.WARN,
  info: ApplicationLogLevel.INFO,
  debug: ApplicationLogLevel.DEBUG,
  trace: ApplicationLogLevel.TRACE,
};

/** A Lambda function of this repository: one bundled file on arm64, its own log group and a role that starts empty. */
export class HandlerFunction extends Construct {
  readonly function: LambdaFunction;
  readonly logGroup: LogGroup;
  readonly memoryMb: number;

  constructor(scope: Construct, id: string, props: HandlerFunctionProps) {
    super(scope, id);
    const { program, description, functionName, environment, timeout, memoryMb = 512, reservedConcurrency } = props;
    this.memoryMb = memoryMb;
    this.logGroup = new LogGroup(this, 'Logs', {
      logGroupName: `/aws/lambda/${functionName}`,
      retention: props.logRetention,
      removalPolicy: props.logRemovalPolicy,
    });
    // Without a role CDK attaches AWSLambdaBasicExecutionRole, which may write to every log group.
    const role = new Role(this, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    this.logGroup.grantWrite(role);
    this.function = new LambdaFunction(this, 'Function', {
      functionName,
      description,
      role,
      logGroup: this.logGroup,
      loggingFormat: LoggingFormat.JSON,
      applicationLogLevelV2: applicationLogLevels[props.logLevel],
      // The start and end of each invocation would be most of the bill for logs.
      systemLogLevelV2: SystemLogLevel.WARN,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      code: bundledCode(program, props.handlers),
      handler: 'index.handler',
      timeout,
      memorySize: memoryMb,
      environment: { ...environment, ...(props.mapsSources !== false && { NODE_OPTIONS: '--enable-source-maps' }) },
      ...(reservedConcurrency !== undefined && { reservedConcurrentExecutions: reservedConcurrency }),
    });
  }
}

/** The hash is that of the bundle: a change elsewhere in the repository updates no function. */
function bundledCode(program: ProgramName, handlers: HandlerLists): Code {
  // CDK keeps one bundle for each source path and command, so they must be the program's and its handlers' own.
  return Code.fromAsset(join(repositoryRoot, dirname(programs[program])), {
    assetHashType: AssetHashType.OUTPUT,
    bundling: {
      image: DockerImage.fromRegistry('bundled-without-docker'),
      command: [program, handlers.handlers],
      local: {
        tryBundle(outputDirectory: string): boolean {
          bundleProgram(program, join(outputDirectory, 'index.mjs'), handlers);
          return true;
        },
      },
    },
  });
}
