import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';

/**
 * The directory table, open to handlers for items of their own (string keys `pk` and `sk`).
 * Keys that start with `APP#` are theirs; all others are Baton's.
 */
export interface HandlerTable {
  readonly name: string;
  readonly documents: DynamoDBDocumentClient;
}
