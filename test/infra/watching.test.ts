import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Match } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { repositoryRoot } from '../../infra/bundle.ts';
import { functionLogMetrics, workerLogMetrics } from '../../infra/log-metrics.ts';
import { fleetMetrics, workerMetrics } from '../../infra/stats-function.ts';
import { stages } from '../../infra/stages.ts';
import { defaultCostInput, estimateCosts } from '../../scripts/costs-model.ts';
import { synthesizeFleet } from './synthesized-fleet.ts';
import { plain, propertiesOf } from './template-reader.ts';

const { template } = synthesizeFleet();
const resources = Object.values(plain(template).Resources);
const alarms = resources.filter(({ Type }) => Type === 'AWS::CloudWatch::Alarm').map(({ Properties }) => Properties);

function sourceOf(...folders: string[]): string {
  return folders
    .flatMap((folder) =>
      readdirSync(join(repositoryRoot, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
        .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8')),
    )
    .join('\n');
}

describe('metrics from logs', () => {
  const workers = sourceOf('gateway-workers', 'shared');
  const functions = sourceOf('functions', 'shared');

  test.each(Object.entries(workerLogMetrics))('%s counts %s, which workers log', (_, event) => {
    expect(workers).toContain(`'${event}'`);
  });

  test.each(Object.entries(functionLogMetrics))('%s counts %s, which functions log', (_, event) => {
    expect(functions).toContain(`'${event}'`);
  });

  test('a worker that finds out that it was fenced is not counted a second time', () => {
    template.hasResourceProperties('AWS::Logs::MetricFilter', {
      FilterPattern: '{ ($.msg = "worker.fenced") && ($.fenced = "*") }',
      MetricTransformations: [{ MetricName: 'WorkersFenced', MetricNamespace: 'Baton/baton', MetricValue: '1' }],
    });
  });

  test('saved queries ask for log lines that exist', () => {
    const asked = resources
      .filter(({ Type }) => Type === 'AWS::Logs::QueryDefinition')
      .flatMap(({ Properties }) => (Properties['QueryString'] as string).match(/"[a-z_]+\.[a-z_]+"/g) ?? [])
      .map((quoted) => `'${quoted.slice(1, -1)}'`);
    expect(asked.length).toBeGreaterThan(10);
    expect(asked.filter((name) => !workers.includes(name) && !functions.includes(name))).toEqual([]);
  });
});

describe('alarms', () => {
  test('have a runbook each, and every runbook has its alarm', () => {
    const operations = readFileSync(join(repositoryRoot, 'docs/operations.md'), 'utf8');
    const runbooks = Array.from(operations.matchAll(/^### Alarm: ([a-z-]+)$/gm), ([, name]) => name as string);
    expect(alarms.map(({ AlarmName }) => (AlarmName as string).replace('baton-', '')).sort()).toEqual(runbooks.sort());
    for (const { AlarmName, AlarmDescription } of alarms) {
      const name = (AlarmName as string).replace('baton-', '');
      expect(AlarmDescription).toContain(`docs/operations.md#alarm-${name}`);
    }
  });

  test('ring when no worker tells anything at all', () => {
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      AlarmName: 'baton-workers-missing',
      MetricName: 'CPUUtilization',
      Statistic: 'SampleCount',
      Threshold: stages.prod.capacity.minWorkers,
      TreatMissingData: 'breaching',
    });
  });

  test.each(['sessions-lost', 'lease-churn'])('%s counts what happens against the shards there are', (name) => {
    const [alarm] = alarms.filter(({ AlarmName }) => AlarmName === `baton-${name}`);
    const metrics = alarm?.['Metrics'] as { Id: string; Expression?: string; MetricStat?: { Metric: object } }[];
    expect(metrics.find(({ Expression }) => Expression)?.Expression).toMatch(/^IF\(.* >= \d+, .* \/ .*shards.*, 0\)$/);
    expect(metrics.find(({ Id }) => Id === 'shards')?.MetricStat?.Metric).toEqual({
      Namespace: 'Baton/baton',
      MetricName: 'Shards',
    });
  });

  test('ring for workers that die before they could tell anybody', () => {
    template.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: {
        source: ['aws.ecs'],
        'detail-type': ['ECS Task State Change'],
        detail: {
          clusterArn: [Match.anyValue()],
          lastStatus: ['STOPPED'],
          $or: [
            { stopCode: ['EssentialContainerExited', 'TaskFailedToStart'] },
            { stoppedReason: [{ prefix: 'Task failed' }] },
          ],
        },
      },
      Targets: [
        Match.objectLike({ Arn: { 'Fn::Join': ['', Match.arrayWith([Match.stringLikeRegexp('log-group:$')])] } }),
      ],
    });
    const { PolicyDocument } = propertiesOf(plain(template), 'AWS::Logs::ResourcePolicy');
    expect(JSON.stringify(PolicyDocument)).toMatch(/logs:PutLogEvents.*Allow.*events\.amazonaws\.com/);
    const [restarts] = alarms.filter(({ AlarmName }) => AlarmName === 'baton-worker-restarts');
    expect(JSON.stringify(restarts?.['Metrics'])).toMatch(/WorkersFenced.*WorkersFailed/);
  });

  test('are silent about workers of a paused fleet', () => {
    const paused = plain(synthesizeFleet({ paused: true }).template);
    expect(JSON.stringify(paused)).not.toContain('workers-missing');
  });

  test('mail where an address is given', () => {
    const mailing = synthesizeFleet({ alarmEmail: 'ops@example.com' }).template;
    mailing.hasResourceProperties('AWS::SNS::Subscription', { Protocol: 'email', Endpoint: 'ops@example.com' });
    mailing.allResourcesProperties('AWS::CloudWatch::Alarm', { AlarmActions: [{ Ref: Match.anyValue() }] });
    // A policy of its own takes the place of the one that lets the account publish.
    mailing.hasResourceProperties('AWS::SNS::TopicPolicy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Effect: 'Allow',
            Action: 'sns:Publish',
            Principal: { Service: 'cloudwatch.amazonaws.com' },
            Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
          }),
        ]),
      },
    });
    expect(alarms.every(({ AlarmActions }) => AlarmActions === undefined)).toBe(true);
  });
});

test('the cost model counts the alarms and metrics that there are', () => {
  const watching = estimateCosts({ ...defaultCostInput, minWorkers: 2 }).lines.find(
    ({ what }) => what === 'CloudWatch',
  );
  const usualLogMetrics = 6;
  const metrics = usualLogMetrics + fleetMetrics.length + 2 * workerMetrics.length;
  expect(watching?.because).toContain(`${alarms.length} alarms, a dashboard, ${metrics} metrics`);
});

test('the dashboard answers the questions of an operator in their order', () => {
  const [dashboard] = resources.filter(({ Type }) => Type === 'AWS::CloudWatch::Dashboard');
  const questions = JSON.stringify(dashboard?.Properties['DashboardBody']).match(/## [^"\\]+\?/g);
  expect(questions).toEqual([
    '## Is anything wrong?',
    '## Are all shards up?',
    '## Are events flowing, and how late?',
    '## What is the identify budget?',
    '## Which worker is hot?',
    '## What is in the dead letters?',
    '## What does it cost?',
  ]);
});

test('the dashboard has a line for each worker', () => {
  const { DashboardBody } = propertiesOf(plain(template), 'AWS::CloudWatch::Dashboard');
  for (const name of workerMetrics) {
    expect(JSON.stringify(DashboardBody)).toContain(
      JSON.stringify(JSON.stringify(`SEARCH('{"Baton/baton",worker} MetricName="${name}"', 'Maximum', 60)`)).slice(
        3,
        -3,
      ),
    );
  }
});

test('every error code has a section in the runbooks', () => {
  const errors = readFileSync(join(repositoryRoot, 'shared/errors.ts'), 'utf8');
  const codes = Array.from(errors.matchAll(/^ {2}\| '([A-Z_]+)'/gm), ([, code]) => code as string);
  expect(codes.length).toBeGreaterThan(10);
  const operations = readFileSync(join(repositoryRoot, 'docs/operations.md'), 'utf8');
  const sections = Array.from(operations.matchAll(/^### `([A-Z_]+)`$/gm), ([, code]) => code as string);
  expect(sections.sort()).toEqual(codes.sort());
});
