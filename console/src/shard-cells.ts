import type { ShardCell } from './fleet-model.ts';
import { statusWords } from './shard-status.ts';

/** What colours the cells: what they are doing, or how much of something they have. */
export type CellColour = 'state' | 'events' | 'latency';

export interface CellView {
  readonly cells: readonly ShardCell[];
  readonly colour: CellColour;
  /** Of the figure that colours, what the darkest shade stands for. */
  readonly highest: number;
  /** Ids that the filter leaves; `undefined`: all. */
  readonly matching: ReadonlySet<number> | undefined;
  readonly selected: number | undefined;
  readonly active: number | undefined;
  readonly draggable: boolean;
}

const shades = 7;

/**
 * The cells of one worker, kept as plain elements: with thousands of them only those that changed are touched, which
 * takes a fraction of what comparing a tree of components would.
 */
export class ShardCells {
  readonly #host: HTMLElement;
  readonly #elements = new Map<number, HTMLElement>();
  readonly #written = new Map<number, string>();

  constructor(host: HTMLElement) {
    this.#host = host;
  }

  update(view: CellView): void {
    const wanted = new Set(view.cells.map(({ shard }) => shard.id));
    for (const [id, element] of this.#elements) {
      if (wanted.has(id)) continue;
      element.remove();
      this.#elements.delete(id);
      this.#written.delete(id);
    }
    let next = this.#host.firstElementChild;
    for (const cell of view.cells) {
      const { id } = cell.shard;
      let element = this.#elements.get(id);
      if (element === undefined) {
        element = document.createElement('div');
        element.id = `shard-${id}`;
        element.role = 'option';
        element.textContent = String(id);
        element.dataset['shard'] = String(id);
        this.#elements.set(id, element);
      }
      if (element === next) next = next.nextElementSibling;
      else this.#host.insertBefore(element, next);
      this.#write(element, cell, view);
    }
  }

  #write(element: HTMLElement, { shard, status }: ShardCell, view: CellView): void {
    const { id } = shard;
    const isDimmed = view.matching !== undefined && !view.matching.has(id);
    const className = [
      'cell',
      `is-${status}`,
      status === 'ready' && view.colour !== 'state' ? `shade-${shadeOf(shard, view)}` : '',
      isDimmed ? 'is-dimmed' : '',
      view.selected === id ? 'is-selected' : '',
      view.active === id ? 'is-active' : '',
    ]
      .filter(Boolean)
      .join(' ');
    const written = `${className} ${view.draggable}`;
    if (this.#written.get(id) === written) return;
    this.#written.set(id, written);
    element.className = className;
    element.draggable = view.draggable;
    element.ariaSelected = String(view.selected === id);
    element.ariaLabel = `Shard ${id}, ${statusWords[status].label.toLowerCase()}`;
    element.title = element.ariaLabel;
  }
}

function shadeOf(shard: ShardCell['shard'], { colour, highest }: CellView): number {
  const value = colour === 'events' ? (shard.eventsPerSecond ?? 0) : (shard.latencyMs ?? 0);
  return highest <= 0 ? 0 : Math.min(shades - 1, Math.floor((value / highest) * shades));
}
