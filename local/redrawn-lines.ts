/** Where a view is written: a terminal, or anything else that takes text. */
export interface ViewOutput {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  write(text: string): unknown;
}

const usualColumns = 80;
const usualRows = 50;

/** Lines on a terminal that are drawn over again and again. */
export class RedrawnLines {
  readonly #output: ViewOutput;
  #linesDrawn = 0;

  constructor(output: ViewOutput) {
    this.#output = output;
  }

  /** Replaces what was drawn last. `render` is told how wide the terminal is. */
  draw(render: (columns: number) => readonly string[]): void {
    // A terminal that does not know its size says 0. What has scrolled away cannot be drawn over.
    const { columns, rows } = this.#output;
    const lines = render(columns || usualColumns).slice(0, (rows || usualRows) - 1);
    // One write, so that the terminal never shows a half-drawn view.
    const erased = this.#erase();
    this.#linesDrawn = lines.length;
    this.#output.write(`${erased}${lines.join('\n')}\n`);
  }

  /** Writes a line that stays, above what is drawn next. */
  note(text: string): void {
    const erased = this.#erase();
    this.#linesDrawn = 0;
    this.#output.write(`${erased}${text}\n`);
  }

  #erase(): string {
    return this.#linesDrawn === 0 ? '' : `\u001b[${this.#linesDrawn}A\u001b[J`;
  }
}
