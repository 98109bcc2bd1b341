import type { DocumentCase } from './document-case.ts';
import { linuxDocuments } from './documents-linux.ts';
import { mountDocuments } from './documents-mounts.ts';
import { processDocuments } from './documents-process.ts';

/** Configurations whose fields are each of the right type, and cannot be. */
export const documents: readonly DocumentCase[] = [...processDocuments, ...linuxDocuments, ...mountDocuments];
