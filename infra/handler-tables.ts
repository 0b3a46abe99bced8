import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import type { FleetTable } from './fleet-table.ts';

/** What handlers, their contexts and the claims of interactions do with the directory table. */
export function grantHandlerTable(grantee: IGrantable, directory: FleetTable): void {
  directory.grant(
    grantee,
    'dynamodb:BatchGetItem',
    'dynamodb:GetItem',
    'dynamodb:PutItem',
    'dynamodb:Query',
    'dynamodb:UpdateItem',
  );
}

/** What those who keep the directory do with its table, handlers' own use included. */
export function grantDirectory(grantee: IGrantable, directory: FleetTable): void {
  directory.grant(
    grantee,
    'dynamodb:BatchGetItem',
    'dynamodb:BatchWriteItem',
    'dynamodb:DeleteItem',
    'dynamodb:GetItem',
    'dynamodb:PutItem',
    'dynamodb:Query',
    'dynamodb:UpdateItem',
  );
}
