import type { Registry } from '../functions/kit/registry.ts';

/** A registry that is exchanged while functions use it: what runs already goes on with the handlers it began with. */
export class LiveRegistry implements Registry {
  #current: Registry;

  constructor(current: Registry) {
    this.#current = current;
  }

  replace(next: Registry): void {
    this.#current = next;
  }

  get events(): Registry['events'] {
    return this.#current.events;
  }

  get commands(): Registry['commands'] {
    return this.#current.commands;
  }

  get userCommands(): Registry['userCommands'] {
    return this.#current.userCommands;
  }

  get messageCommands(): Registry['messageCommands'] {
    return this.#current.messageCommands;
  }

  get components(): Registry['components'] {
    return this.#current.components;
  }

  get modals(): Registry['modals'] {
    return this.#current.modals;
  }

  get messages(): Registry['messages'] {
    return this.#current.messages;
  }

  get commandDefinitions(): Registry['commandDefinitions'] {
    return this.#current.commandDefinitions;
  }
}
