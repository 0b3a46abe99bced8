import { MemoryReplies } from '../../../shared/control/memory-replies.ts';
import { repliesContract } from './replies-contract.ts';

repliesContract(async () => new MemoryReplies());
