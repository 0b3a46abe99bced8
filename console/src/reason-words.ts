/** Reasons as the fleet names them, in words. What is not here is shown as it is. */
const words: Readonly<Record<string, string>> = {
  silent: 'no heartbeat',
  gone: 'its worker was gone',
  drain: 'its worker drains',
  draining: 'its worker drains',
  cpu: 'CPU too high',
  latency: 'latency too high',
  'event-rate': 'more events than its share',
  'empty-worker': 'a worker had nothing to do',
  'older-release': 'others have a newer release',
  'no-room': 'nobody has room',
  'everybody-busy': 'whoever has room has no less to do',
  'no-movable-shard': 'its shards have moved lately, or are not ready',
  'identify-budget-low': 'the identify budget is low',
  'identify-budget-unknown': 'the identify budget is not known',
};

/** A reason, or several with commas between them. */
export function reasonWords(reason: string): string {
  return reason
    .split(', ')
    .map((each) => words[each] ?? each)
    .join(', ');
}
