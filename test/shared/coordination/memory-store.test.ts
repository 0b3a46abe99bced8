import { MemoryStore } from '../../../shared/coordination/memory-store.ts';
import { storeContract } from './store-contract.ts';

storeContract(async (clock) => new MemoryStore(clock));
