/**
 * Prices of AWS in us-east-1, in US dollars without free tiers, as of November 2026. The dashboard and the cost
 * calculator use them; look at the price pages before you rely on them.
 */
export const prices = {
  /** A request is an API call, and every started 64 KB of its payload counts as one. */
  sqs: { fifoPerMillion: 0.5, standardPerMillion: 0.4, requestBytes: 64 * 1024 },
  lambda: { perMillionInvocations: 0.2, armPerGbSecond: 0.000_013_333_4 },
  dynamodb: {
    perMillionWriteUnits: 0.625,
    perMillionReadUnits: 0.125,
    writeUnitBytes: 1024,
    readUnitBytes: 4096,
  },
  fargate: { armPerVcpuHour: 0.032_38, armPerGbHour: 0.003_56, publicIpv4PerHour: 0.005 },
  cloudwatch: { perMetric: 0.3, perAlarm: 0.1, perDashboard: 3, perThousandReads: 0.01, logsPerGb: 0.5 },
  secretsManager: { perSecret: 0.4 },
} as const;

/** AWS counts a month as 730 hours. */
export const hoursPerMonth = 730;
export const secondsPerMonth = hoursPerMonth * 3600;
