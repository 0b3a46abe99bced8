import type { Clock } from '../shared/clock.ts';

/** Makes a function that tells this process's CPU (percent of one core since the last call) and resident memory. */
export function processUsage(clock: Clock): () => { cpuPercent: number; memoryMb: number } {
  let last = process.cpuUsage();
  let lastMs = clock.monotonicMs();
  return () => {
    const now = process.cpuUsage();
    const nowMs = clock.monotonicMs();
    const cpuMs = (now.user - last.user + now.system - last.system) / 1000;
    const cpuPercent = Math.round((cpuMs / Math.max(1, nowMs - lastMs)) * 1000) / 10;
    last = now;
    lastMs = nowMs;
    return { cpuPercent, memoryMb: Math.round(process.memoryUsage.rss() / 1024 / 1024) };
  };
}
