import {
  type DirectoryEntityObject,
  itemKey,
  type ItemKey,
  type PackedItem,
  type PackedKind,
  packedNumber,
  parsePackedSortKey,
} from './directory-items.ts';
import { canonicalJson, packText, unpackText } from './packed-json.ts';
import type { StreamPosition } from './stream-position.ts';

/** A write that stands only if the item is still as it was read: `expected` is its position, or absent. */
export type ItemWrite<T> =
  | { readonly kind: 'put'; readonly item: T; readonly expected: StreamPosition | undefined }
  | { readonly kind: 'delete'; readonly key: ItemKey; readonly expected: StreamPosition };

/**
 * Plain bytes of an item at which it, packed, costs one write unit: so a change costs one, and a guild's start no more
 * than the bytes of the guild.
 */
const plainBytesPerItem = 3200;
/** An item that outgrows its share by so much has its kind spread over more items. */
const spreadFactor = 8;
const mostItems = 500;

interface Slot {
  readonly entities: Map<string, DirectoryEntityObject>;
  position: StreamPosition | undefined;
  /** As stored. */
  readonly storedPosition: StreamPosition | undefined;
  readonly storedText: string | undefined;
  isChanged: boolean;
}

/**
 * The entities of one kind of one guild, spread over items by a hash of their ids, while events are folded into them.
 * Each item carries the position of the last event that changed it, so an event that comes again changes nothing.
 */
export class PackedEntities {
  readonly #guildId: string;
  readonly #kind: PackedKind;
  #slots: Slot[];
  /** Items of an earlier spread, which go when this one is written. */
  #outdated: PackedItem[] = [];
  /** Some items of the spread are not stored yet. */
  #isSpreading = false;
  #last: StreamPosition = '';

  /** @throws {BatonError} `STORE_ITEM_INVALID`. */
  constructor(guildId: string, kind: PackedKind, items: readonly PackedItem[]) {
    this.#guildId = guildId;
    this.#kind = kind;
    const newest = items.reduce<PackedItem | undefined>(
      (best, item) => (best === undefined || item.position > best.position ? item : best),
      undefined,
    );
    this.#slots = Array.from({ length: newest?.of ?? 1 }, () => emptySlot());
    for (const item of items) {
      if (item.of !== this.#slots.length) {
        this.#outdated.push(item);
        continue;
      }
      const text = unpackText(item.data, `${item.pk}/${item.sk}`);
      const entities = new Map((JSON.parse(text) as DirectoryEntityObject[]).map((entity) => [entity.id, entity]));
      const { position } = item;
      this.#slots[numberOf(item)] = {
        entities,
        position,
        storedPosition: position,
        storedText: text,
        isChanged: false,
      };
    }
    if (this.#outdated.length > 0) this.#finishSpread();
  }

  *ids(): Generator<string> {
    for (const { entities } of this.#slots) yield* entities.keys();
  }

  *entities(): Generator<DirectoryEntityObject> {
    for (const { entities } of this.#slots) yield* entities.values();
  }

  upsert(entity: DirectoryEntityObject, position: StreamPosition): void {
    const slot = this.#slotOf(entity.id);
    if (isPast(slot, position)) return;
    slot.entities.set(entity.id, entity);
    this.#touch(slot, position);
  }

  remove(id: string, position: StreamPosition): void {
    const slot = this.#slotOf(id);
    if (isPast(slot, position) || !slot.entities.delete(id)) return;
    this.#touch(slot, position);
  }

  /** Puts `entities` in the place of what there was. */
  replaceAll(entities: readonly DirectoryEntityObject[], position: StreamPosition): void {
    const wanted = itemCount(entities);
    const has = this.#slots.length;
    // What is spread well enough stays as it is, so that a guild that is announced again unchanged costs no write.
    if (wanted > 2 * has || has > 2 * wanted) this.#spread(wanted);
    const byNumber = Map.groupBy(entities, ({ id }) => packedNumber(id, this.#slots.length));
    for (const [number, slot] of this.#slots.entries()) {
      if (isPast(slot, position)) continue;
      slot.entities.clear();
      for (const entity of byNumber.get(number) ?? []) slot.entities.set(entity.id, entity);
      this.#touch(slot, position);
    }
  }

  /**
   * What has to be written for what was folded; nothing, if nothing is different. New items must be written before any is
   * overwritten, and all of them before any is deleted: see {@link writeStages}.
   */
  writes(): ItemWrite<PackedItem>[] {
    // A spread that is being finished comes first.
    const outgrown =
      !this.#isSpreading &&
      this.#slots.some(
        (slot) => slot.isChanged && slot.entities.size > 1 && textOf(slot).length > spreadFactor * plainBytesPerItem,
      );
    if (outgrown) {
      const all = [...this.entities()];
      const wanted = grownCount(this.#slots.length, itemCount(all));
      if (wanted > this.#slots.length) {
        this.#spread(wanted);
        for (const entity of all) this.#slotOf(entity.id).entities.set(entity.id, entity);
      }
    }
    const writes: ItemWrite<PackedItem>[] = [];
    for (const [number, slot] of this.#slots.entries()) {
      if (!slot.isChanged && !this.#isSpreading) continue;
      const text = textOf(slot);
      // An item that never was and would hold nothing need not be; in a spread each item says that it is done.
      if (!this.#isSpreading && (slot.storedText ?? '[]') === text) continue;
      writes.push({ kind: 'put', item: this.#item(number, slot, text), expected: slot.storedPosition });
    }
    const kept = new Set(this.#slots.keys());
    for (const item of this.#outdated) {
      if (kept.has(numberOf(item))) continue;
      writes.push({ kind: 'delete', key: { pk: item.pk, sk: item.sk }, expected: item.position });
    }
    return writes;
  }

  #item(number: number, slot: Slot, text: string): PackedItem {
    return {
      ...itemKey.packed(this.#guildId, this.#kind, number),
      position: slot.position ?? this.#last,
      of: this.#slots.length,
      count: slot.entities.size,
      data: packText(text),
    };
  }

  #slotOf(id: string): Slot {
    return this.#slots[packedNumber(id, this.#slots.length)] as Slot;
  }

  #touch(slot: Slot, position: StreamPosition): void {
    slot.position = position;
    slot.isChanged = true;
    if (position > this.#last) this.#last = position;
  }

  /** Begins anew with so many empty items; those that are stored are overwritten or deleted. */
  #spread(count: number): void {
    const stored = this.#slots.flatMap(({ storedPosition }, number) =>
      storedPosition === undefined ? [] : [{ number, storedPosition }],
    );
    const position = this.#last;
    const of = this.#slots.length;
    this.#outdated.push(
      ...stored.map(({ number, storedPosition }) => ({
        ...itemKey.packed(this.#guildId, this.#kind, number),
        position: storedPosition,
        of,
        count: 0,
        data: new Uint8Array(),
      })),
    );
    const positions = new Map(this.#outdated.map((item) => [numberOf(item), item.position]));
    this.#slots = Array.from({ length: count }, (_, number) => ({
      ...emptySlot(),
      position: position === '' ? undefined : position,
      storedPosition: positions.get(number),
      isChanged: true,
    }));
    this.#isSpreading = true;
  }

  /**
   * An invocation died while it wrote a spread. What the missing items are to hold is still in those of the spread
   * before; what is in an item of the new one already is newer than that.
   */
  #finishSpread(): void {
    const positions = new Map(this.#outdated.map((item) => [numberOf(item), item.position]));
    const missing = new Set<Slot>();
    this.#slots = this.#slots.map((slot, number) => {
      if (slot.storedPosition !== undefined) return slot;
      const fresh = { ...emptySlot(), storedPosition: positions.get(number), isChanged: true };
      missing.add(fresh);
      return fresh;
    });
    for (const item of this.#outdated) {
      if (item.position > this.#last) this.#last = item.position;
      for (const entity of JSON.parse(unpackText(item.data, `${item.pk}/${item.sk}`)) as DirectoryEntityObject[]) {
        const slot = this.#slotOf(entity.id);
        if (missing.has(slot)) slot.entities.set(entity.id, entity);
      }
    }
    this.#isSpreading = true;
  }
}

/**
 * A multiple of what there was. Then whatever an item held goes into the item of the same number, or into new ones; and
 * when the new ones are written before it is overwritten, nothing is lost, wherever the writing ends.
 */
function grownCount(count: number, wanted: number): number {
  return count * Math.min(Math.ceil(wanted / count), Math.floor(mostItems / count));
}

/** Writes in the order in which they must be made; those of a stage side by side. */
export function writeStages(writes: readonly ItemWrite<PackedItem>[]): readonly (readonly ItemWrite<PackedItem>[])[] {
  const isNew = ({ kind, expected }: ItemWrite<PackedItem>): boolean => kind === 'put' && expected === undefined;
  return [
    writes.filter(isNew),
    writes.filter((write) => write.kind === 'put' && !isNew(write)),
    writes.filter(({ kind }) => kind === 'delete'),
  ];
}

function emptySlot(): Slot {
  return {
    entities: new Map(),
    position: undefined,
    storedPosition: undefined,
    storedText: undefined,
    isChanged: false,
  };
}

function isPast(slot: Slot, position: StreamPosition): boolean {
  return slot.position !== undefined && position <= slot.position;
}

function textOf({ entities }: Slot): string {
  return canonicalJson([...entities.values()].sort((one, other) => (one.id < other.id ? -1 : 1)));
}

function itemCount(entities: readonly DirectoryEntityObject[]): number {
  const bytes = entities.reduce((sum, entity) => sum + JSON.stringify(entity).length, 0);
  return Math.min(mostItems, Math.max(1, Math.ceil(bytes / plainBytesPerItem)));
}

function numberOf({ sk }: ItemKey): number {
  return parsePackedSortKey(sk)?.number ?? 0;
}
